#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/error.h"
#include "kernels/image/decode.h"

// One decoder per file of this folder, each the only user of its library.
namespace fastort::kernels::codecs {

using File = std::span<const uint8_t>;

[[noreturn]] inline void bad_picture(const char* format, const std::string& what) {
  invalid_argument(std::string(format) + ": " + what);
}

void decode_bmp(File file, Picture& picture);
void decode_jpeg(File file, Picture& picture);
void decode_jpeg2000(File file, Picture& picture);
void decode_png(File file, Picture& picture);
void decode_pnm(File file, Picture& picture);
void decode_tiff(File file, Picture& picture);
void decode_webp(File file, Picture& picture);

// v of [0, max] as a byte; `max` is at least 1.
constexpr uint8_t to_byte(uint32_t v, uint32_t max) {
  return static_cast<uint8_t>(v >= max ? 255 : (uint64_t{v} * 255 + max / 2) / max);
}

// a * b / 255, rounded.
constexpr uint8_t scaled(int a, int b) {
  const int t = a * b + 128;
  return static_cast<uint8_t>((t + (t >> 8)) >> 8);
}

}  // namespace fastort::kernels::codecs
