// Portable anymaps: P1 to P6, as text and as bytes, up to 16 bits a sample.
#include <vector>

#include "kernels/image/codecs/bytes.h"

namespace fastort::kernels::codecs {
namespace {

[[noreturn]] void bad(const std::string& what) { bad_picture("portable anymap", what); }

bool is_space(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// The next character that is neither white space nor part of a comment.
uint8_t next(Bytes& bytes) {
  for (;;) {
    uint8_t c = bytes.u8();
    if (c == '#') {
      while (c != '\n' && c != '\r') c = bytes.u8();
    }
    if (!is_space(c)) return c;
  }
}

// A number and the one character behind it, unless the file ends there.
uint32_t number(Bytes& bytes) {
  uint32_t value = 0;
  uint8_t c = next(bytes);
  for (;;) {
    if (c < '0' || c > '9') bad("a number is expected");
    value = value * 10 + (c - '0');
    if (value > 100'000'000) bad("a number is too large");
    if (bytes.left() == 0) return value;
    c = bytes.u8();
    if (is_space(c)) return value;
  }
}

}  // namespace

void decode_pnm(File file, Picture& picture) {
  Bytes bytes("portable anymap", file);
  const int kind = bytes.take(2)[1] - '0';
  const bool text = kind <= 3, bits = kind == 1 || kind == 4, colour = kind == 3 || kind == 6;
  const int64_t width = number(bytes), height = number(bytes);
  const uint32_t max = bits ? 1 : number(bytes);
  if (max < 1 || max > 65535) bad("the largest value must be between 1 and 65535, got " + std::to_string(max));

  const int64_t samples = width * (colour ? 3 : 1);
  const int64_t size = max > 255 ? 2 : 1;
  const int64_t row_bytes = text ? samples : bits ? (width + 7) / 8 : samples * size;
  if (row_bytes > 0 && static_cast<int64_t>(bytes.left()) / row_bytes < height)
    bad("the file is too short for its size");
  picture.begin(height, width);

  std::vector<uint8_t> row(static_cast<size_t>(samples));
  const auto put = [&](int64_t y, const uint8_t* samples_of_row) {
    if (colour)
      picture.put_rgb(y, samples_of_row);
    else
      picture.put_gray(y, samples_of_row);
  };
  for (int64_t y = 0; y < height; ++y) {
    const uint8_t* src = text ? nullptr : bytes.take(static_cast<size_t>(row_bytes)).data();
    if (!text && max == 255) {
      put(y, src);
      continue;
    }
    for (int64_t x = 0; x < samples; ++x) {
      uint8_t& dst = row[static_cast<size_t>(x)];
      if (bits) {  // 1 is black, and in text needs no space behind it
        const int bit = text ? next(bytes) - '0' : src[x / 8] >> (7 - x % 8) & 1;
        if (bit != 0 && bit != 1) bad("a pixel of a bitmap is neither 0 nor 1");
        dst = bit ? 0 : 255;
      } else if (text) {
        dst = to_byte(number(bytes), max);
      } else {
        dst = to_byte(size == 1 ? src[x] : uint32_t{src[2 * x]} << 8 | src[2 * x + 1], max);
      }
    }
    put(y, row.data());
  }
}

}  // namespace fastort::kernels::codecs
