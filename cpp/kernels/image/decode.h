#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/fn_ref.h"

namespace fastort::kernels {

// How pixels are wanted: bytes, channels last.
enum class PixelFormat : uint8_t { Rgb, Bgr, Grayscale };
constexpr int channels(PixelFormat format) { return format == PixelFormat::Grayscale ? 1 : 3; }

// The picture that a decoder makes: told its size once, then filled row by row.
class Picture {
 public:
  // Gives room for height x width x channels bytes, once the size is known.
  using Allocate = FnRef<uint8_t*(int64_t height, int64_t width)>;
  Picture(PixelFormat format, Allocate allocate) : format_(format), allocate_(allocate) {}

  // Throws where the picture is empty or larger than is sane, so that a broken header cannot ask for all memory.
  void begin(int64_t height, int64_t width);
  int64_t height() const { return height_; }
  int64_t width() const { return width_; }

  // Row y, whose pixels are `step` bytes apart.
  void put_rgb(int64_t y, const uint8_t* row, int step = 3);
  void put_gray(int64_t y, const uint8_t* row);
  // The whole picture as rows of RGB to write into, where that is what is wanted; else nullptr.
  uint8_t* whole_rgb() { return format_ == PixelFormat::Rgb ? dst_ : nullptr; }

 private:
  PixelFormat format_;
  Allocate allocate_;
  int64_t height_ = 0, width_ = 0;
  uint8_t* dst_ = nullptr;
};

// Whether this build has the libraries that decode.
bool can_decode_pictures() noexcept;

// Decodes a file of BMP, JPEG, JPEG 2000, PNG, portable anymap, TIFF or WebP. Throws Error(InvalidArgument), which says
// what is wrong, for a file that is none of these, is damaged or has a form that is not supported; the picture may be
// half filled then. An alpha channel is left out.
void decode_picture(std::span<const uint8_t> file, Picture& picture);

}  // namespace fastort::kernels
