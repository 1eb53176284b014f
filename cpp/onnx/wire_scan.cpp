#include "onnx/wire_scan.h"

#include <cstdint>
#include <cstring>

#include "base/error.h"

namespace fastort {
namespace {

// Field numbers of onnx-ml.proto.
constexpr uint32_t kModelGraph = 7;
constexpr uint32_t kGraphInitializer = 5;
constexpr uint32_t kTensorRawData = 9;

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

[[noreturn]] void broken() { fail(ErrorCode::InvalidProtobuf, "Protobuf parsing failed."); }

struct Field {
  uint32_t number;
  uint32_t wire;
  size_t begin;          // of the tag
  size_t payload, size;  // of a length-delimited field
  size_t end;
};

// Reads the fields of one message one after another.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, size_t begin, size_t end) : bytes_(bytes), at_(begin), end_(end) {}

  bool next(Field& field) {
    if (at_ == end_) return false;
    field.begin = at_;
    const uint64_t tag = varint();
    field.number = static_cast<uint32_t>(tag >> 3);
    field.wire = static_cast<uint32_t>(tag & 7);
    field.payload = field.size = 0;
    switch (field.wire) {
      case kVarint:
        varint();
        break;
      case kFixed64:
        skip(8);
        break;
      case kFixed32:
        skip(4);
        break;
      case kBytes: {
        const uint64_t size = varint();
        field.payload = at_;
        field.size = skip(size);
        break;
      }
      default:  // groups are no part of ONNX
        broken();
    }
    field.end = at_;
    return true;
  }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      if (at_ == end_) broken();
      const auto byte = static_cast<uint64_t>(bytes_[at_++]);
      if (shift < 64) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    broken();
  }
  size_t skip(uint64_t count) {
    if (count > end_ - at_) broken();
    at_ += static_cast<size_t>(count);
    return static_cast<size_t>(count);
  }

  std::span<const std::byte> bytes_;
  size_t at_, end_;
};

class Stripper {
 public:
  Stripper(std::span<const std::byte> model, size_t min_bytes) : model_(model), min_bytes_(min_bytes) {}

  StrippedModel run() {
    Field field = {};
    for (Reader reader(model_, 0, model_.size()); reader.next(field);) {
      if (field.number == kModelGraph && field.wire == kBytes)
        append_message(result_.proto, kModelGraph, graph(field));
      else
        append_verbatim(result_.proto, field.begin, field.end);
    }
    return std::move(result_);
  }

 private:
  std::string graph(const Field& message) {
    std::string out;
    Field field = {};
    for (Reader reader(model_, message.payload, message.end); reader.next(field);) {
      if (field.number == kGraphInitializer && field.wire == kBytes) {
        if (field.size < min_bytes_)
          append_verbatim(out, field.begin, field.end);
        else
          append_message(out, kGraphInitializer, tensor(field));
        ++initializers_;
      } else {
        append_verbatim(out, field.begin, field.end);
      }
    }
    return out;
  }

  // Of a field that occurs twice the last one counts, so an earlier payload is dropped.
  std::string tensor(const Field& message) {
    std::string out;
    Field field = {};
    Field raw = {};
    for (Reader reader(model_, message.payload, message.end); reader.next(field);) {
      if (field.number == kTensorRawData && field.wire == kBytes)
        raw = field;
      else
        append_verbatim(out, field.begin, field.end);
    }
    if (raw.size >= min_bytes_)
      result_.payloads.push_back({initializers_, raw.payload, raw.size});
    else if (raw.end != 0)
      append_verbatim(out, raw.begin, raw.end);
    return out;
  }

  void append_verbatim(std::string& out, size_t begin, size_t end) const {
    out.append(reinterpret_cast<const char*>(model_.data()) + begin, end - begin);
  }
  static void append_varint(std::string& out, uint64_t value) {
    for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
    out.push_back(static_cast<char>(value));
  }
  static void append_message(std::string& out, uint32_t number, const std::string& message) {
    append_varint(out, static_cast<uint64_t>(number) << 3 | kBytes);
    append_varint(out, message.size());
    out += message;
  }

  std::span<const std::byte> model_;
  size_t min_bytes_;
  size_t initializers_ = 0;
  StrippedModel result_;
};

}  // namespace

StrippedModel strip_payloads(std::span<const std::byte> model, size_t min_bytes) {
  return Stripper(model, min_bytes).run();
}

}  // namespace fastort
