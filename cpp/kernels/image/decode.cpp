#include "kernels/image/decode.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "kernels/image/codecs/codecs.h"

namespace fastort::kernels {
namespace {

// 134 million: about the largest that cameras make, and 400 MB in memory.
constexpr int64_t kMaxPixels = int64_t{1} << 27;

#if !defined(FASTORT_NO_IMAGE_CODECS)
using Decode = void (*)(codecs::File, Picture&);

// The decoder for what the first bytes say, or nullptr.
Decode decoder_of(std::span<const uint8_t> file) {
  const auto starts = [&](std::string_view magic, size_t at = 0) {
    return file.size() >= at + magic.size() && std::memcmp(file.data() + at, magic.data(), magic.size()) == 0;
  };
  using namespace std::string_view_literals;
  if (starts("\xFF\xD8\xFF"sv)) return codecs::decode_jpeg;
  if (starts("\x89PNG\r\n\x1A\n"sv)) return codecs::decode_png;
  if (starts("RIFF"sv) && starts("WEBP"sv, 8)) return codecs::decode_webp;
  for (const auto magic : {"II*\0"sv, "MM\0*"sv, "II+\0"sv, "MM\0+"sv}) {
    if (starts(magic)) return codecs::decode_tiff;
  }
  if (starts("\xFF\x4F\xFF\x51"sv) || starts("\0\0\0\x0CjP  \r\n\x87\n"sv)) return codecs::decode_jpeg2000;
  if (starts("BM"sv)) return codecs::decode_bmp;
  if (file.size() >= 2 && file[0] == 'P' && file[1] >= '1' && file[1] <= '6') return codecs::decode_pnm;
  return nullptr;
}
#endif

// Luma of ITU-R BT.601 in 16 bits of fraction.
uint8_t luma(const uint8_t* rgb) {
  return static_cast<uint8_t>((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

}  // namespace

void Picture::begin(int64_t height, int64_t width) {
  if (height <= 0 || width <= 0 || height > kMaxPixels / width) {
    invalid_argument("its size, " + std::to_string(width) + " x " + std::to_string(height) +
                     " pixels, is not between 1 and " + std::to_string(kMaxPixels) + " pixels");
  }
  dst_ = allocate_(height, width);
  height_ = height;
  width_ = width;
}

void Picture::put_rgb(int64_t y, const uint8_t* row, int step) {
  uint8_t* dst = dst_ + y * width_ * channels(format_);
  switch (format_) {
    case PixelFormat::Rgb:
      if (step == 3) {
        std::memcpy(dst, row, static_cast<size_t>(width_) * 3);
        return;
      }
      for (int64_t x = 0; x < width_; ++x, row += step, dst += 3) std::copy_n(row, 3, dst);
      return;
    case PixelFormat::Bgr:
      for (int64_t x = 0; x < width_; ++x, row += step, dst += 3) {
        dst[0] = row[2];
        dst[1] = row[1];
        dst[2] = row[0];
      }
      return;
    case PixelFormat::Grayscale:
      for (int64_t x = 0; x < width_; ++x, row += step) dst[x] = luma(row);
      return;
  }
}

void Picture::put_gray(int64_t y, const uint8_t* row) {
  const int count = channels(format_);
  uint8_t* dst = dst_ + y * width_ * count;
  if (count == 1) {
    std::memcpy(dst, row, static_cast<size_t>(width_));
    return;
  }
  for (int64_t x = 0; x < width_; ++x, dst += 3) std::fill_n(dst, 3, row[x]);
}

#if defined(FASTORT_NO_IMAGE_CODECS)
bool can_decode_pictures() noexcept { return false; }

void decode_picture(std::span<const uint8_t>, Picture&) {
  not_implemented("this build of fastort has no image codecs (CMake option FASTORT_IMAGE_CODECS)");
}
#else
bool can_decode_pictures() noexcept { return true; }

void decode_picture(std::span<const uint8_t> file, Picture& picture) {
  const Decode decode = decoder_of(file);
  if (decode == nullptr) {
    invalid_argument("the " + std::to_string(file.size()) +
                     " bytes are no BMP, JPEG, JPEG 2000, PNG, portable anymap, TIFF or WebP file");
  }
  decode(file, picture);
}
#endif

}  // namespace fastort::kernels
