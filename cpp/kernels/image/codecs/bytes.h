#pragma once

#include "kernels/image/codecs/codecs.h"

namespace fastort::kernels::codecs {

// A place in a file; reading past its end throws.
class Bytes {
 public:
  Bytes(const char* format, File file) : format_(format), file_(file) {}

  size_t at() const { return at_; }
  size_t left() const { return file_.size() - at_; }
  void go(size_t to) {
    if (to > file_.size()) too_short();
    at_ = to;
  }
  File take(size_t count) {
    if (count > left()) too_short();
    at_ += count;
    return file_.subspan(at_ - count, count);
  }
  uint8_t u8() { return take(1)[0]; }
  uint32_t u16() {
    const File b = take(2);
    return b[0] | uint32_t{b[1]} << 8;
  }
  uint32_t u32() {
    const uint32_t low = u16();
    return low | u16() << 16;
  }
  int32_t i32() { return static_cast<int32_t>(u32()); }

 private:
  [[noreturn]] void too_short() const { bad_picture(format_, "the file ends too early"); }

  const char* format_;
  File file_;
  size_t at_ = 0;
};

}  // namespace fastort::kernels::codecs
