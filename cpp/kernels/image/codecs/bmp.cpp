// BMP: every header since OS/2's, 1 to 32 bits a pixel, palettes, masks and run-length coding.
#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "kernels/image/codecs/bytes.h"

namespace fastort::kernels::codecs {
namespace {

enum Compression : uint32_t { kPlain = 0, kRunLength8 = 1, kRunLength4 = 2, kMasks = 3, kMasksWithAlpha = 6 };

// One colour of a 16- or 32-bit pixel.
struct Mask {
  uint32_t bits;
  int shift;
  explicit Mask(uint32_t mask) : bits(mask), shift(mask ? std::countr_zero(mask) : 0) {}
  uint8_t of(uint32_t pixel) const { return bits ? to_byte((pixel & bits) >> shift, bits >> shift) : 0; }
};

struct Header {
  int64_t width = 0, height = 0;
  bool upward = true;  // the last row comes first
  uint32_t bits = 0, compression = kPlain;
  std::array<uint32_t, 3> masks{};
  std::vector<std::array<uint8_t, 3>> palette;  // RGB
  size_t pixels = 0;                            // where they begin
};

[[noreturn]] void bad(const std::string& what) { bad_picture("BMP", what); }

void read_palette(Bytes& bytes, Header& header, uint32_t colours, size_t entry, size_t end) {
  const size_t room = end > bytes.at() ? (end - bytes.at()) / entry : 0;
  const size_t count = std::min<size_t>({colours, size_t{1} << header.bits, room});
  for (size_t i = 0; i < count; ++i) {
    const File bgr = bytes.take(entry);
    header.palette.push_back({bgr[2], bgr[1], bgr[0]});
  }
  if (header.palette.empty()) bad("the palette is missing");
}

Header read_header(Bytes& bytes) {
  Header header;
  bytes.go(10);
  header.pixels = bytes.u32();
  const size_t size = bytes.u32(), end = 14 + size;
  uint32_t colours = 0;
  if (size == 12) {
    header.width = bytes.u16();
    header.height = bytes.u16();
    bytes.take(2);
    header.bits = bytes.u16();
  } else if (size >= 40 && size <= 1024) {
    header.width = bytes.i32();
    header.height = bytes.i32();
    header.upward = header.height >= 0;
    header.height = header.upward ? header.height : -header.height;
    bytes.take(2);
    header.bits = bytes.u16();
    header.compression = bytes.u32();
    bytes.take(12);
    colours = bytes.u32();
    bytes.take(4);
  } else {
    bad("a header of " + std::to_string(size) + " bytes is not known");
  }

  const bool masked = header.compression == kMasks || header.compression == kMasksWithAlpha;
  const bool fits = header.compression == kPlain
                        ? std::ranges::count(std::array{1u, 4u, 8u, 16u, 24u, 32u}, header.bits) > 0
                        : (header.compression == kRunLength8 && header.bits == 8 && header.upward) ||
                              (header.compression == kRunLength4 && header.bits == 4 && header.upward) ||
                              (masked && (header.bits == 16 || header.bits == 32));
  if (!fits) {
    bad(std::to_string(header.bits) + " bits a pixel with compression " + std::to_string(header.compression) +
        " are not supported");
  }
  // The masks stand behind the 40 bytes, be they part of the header or not.
  if (masked) {
    for (uint32_t& mask : header.masks) mask = bytes.u32();
  } else if (header.bits == 16) {
    header.masks = {0x7C00, 0x03E0, 0x001F};
  } else if (header.bits == 32) {
    header.masks = {0xFF0000, 0xFF00, 0xFF};
  }
  if (header.bits <= 8) {
    bytes.go(end);
    read_palette(bytes, header, colours ? colours : 1u << header.bits, size == 12 ? 3 : 4, header.pixels);
  }
  return header;
}

void put_palette_row(const Header& header, const uint8_t* indices, int64_t y, std::vector<uint8_t>& rgb,
                     Picture& picture) {
  for (int64_t x = 0; x < header.width; ++x) {
    const auto& colour = header.palette[std::min<size_t>(indices[x], header.palette.size() - 1)];
    std::ranges::copy(colour, rgb.begin() + x * 3);
  }
  picture.put_rgb(y, rgb.data());
}

// The indices of a whole run-length coded picture, first row at the bottom; pixels that are skipped have index 0.
std::vector<uint8_t> unpack_runs(Bytes& bytes, const Header& header) {
  std::vector<uint8_t> indices(static_cast<size_t>(header.width * header.height), 0);
  const bool nibbles = header.bits == 4;
  int64_t x = 0, y = 0;
  const auto put = [&](uint8_t index) {
    if (x < header.width && y < header.height) indices[static_cast<size_t>(y * header.width + x)] = index;
    ++x;
  };
  const auto item = [&](uint8_t packed, int i) -> uint8_t {
    if (!nibbles) return packed;
    return i % 2 == 0 ? packed >> 4 : packed & 15;
  };
  while (y < header.height) {
    const int count = bytes.u8();
    const uint8_t value = bytes.u8();
    if (count > 0) {
      for (int i = 0; i < count; ++i) put(item(value, i));
    } else if (value == 0) {
      x = 0;
      ++y;
    } else if (value == 1) {
      break;
    } else if (value == 2) {
      x += bytes.u8();
      y += bytes.u8();
    } else {
      const size_t packed = nibbles ? (value + size_t{1}) / 2 : value;
      const File run = bytes.take(packed);
      for (int i = 0; i < value; ++i) put(item(run[static_cast<size_t>(nibbles ? i / 2 : i)], i));
      if (packed % 2) bytes.take(1);
    }
  }
  return indices;
}

}  // namespace

void decode_bmp(File file, Picture& picture) {
  Bytes bytes("BMP", file);
  const Header header = read_header(bytes);
  bytes.go(header.pixels);
  const int64_t stride = (header.width * header.bits + 31) / 32 * 4;
  const bool runs = header.compression == kRunLength8 || header.compression == kRunLength4;
  // A run of two bytes makes at most 255 pixels; skipping may leave more out, but not all.
  const int64_t least = runs ? header.width / 512 : stride;
  if (header.width > 0 && header.height > 0 && least > 0 && static_cast<int64_t>(bytes.left()) / least < header.height)
    bad("the file is too short for its size");
  picture.begin(header.height, header.width);

  const auto y_of = [&](int64_t stored) { return header.upward ? header.height - 1 - stored : stored; };
  std::vector<uint8_t> rgb(static_cast<size_t>(header.width) * 3), line(static_cast<size_t>(header.width));
  if (runs) {
    const std::vector<uint8_t> indices = unpack_runs(bytes, header);
    for (int64_t y = 0; y < header.height; ++y)
      put_palette_row(header, indices.data() + y * header.width, y_of(y), rgb, picture);
    return;
  }
  const Mask red(header.masks[0]), green(header.masks[1]), blue(header.masks[2]);
  for (int64_t y = 0; y < header.height; ++y) {
    const uint8_t* src = bytes.take(static_cast<size_t>(stride)).data();
    if (header.bits <= 8) {
      const int64_t per_byte = 8 / header.bits;
      for (int64_t x = 0; x < header.width; ++x) {
        const auto shift = static_cast<int>(8 - header.bits * static_cast<uint32_t>(x % per_byte + 1));
        line[static_cast<size_t>(x)] = static_cast<uint8_t>(src[x / per_byte] >> shift & ((1 << header.bits) - 1));
      }
      put_palette_row(header, line.data(), y_of(y), rgb, picture);
      continue;
    }
    const int64_t size = header.bits / 8;
    for (int64_t x = 0; x < header.width; ++x) {
      const uint8_t* pixel = src + x * size;
      uint8_t* dst = rgb.data() + x * 3;
      if (size == 3) {
        std::reverse_copy(pixel, pixel + 3, dst);
        continue;
      }
      uint32_t value = pixel[0] | uint32_t{pixel[1]} << 8;
      if (size == 4) value |= uint32_t{pixel[2]} << 16 | uint32_t{pixel[3]} << 24;
      dst[0] = red.of(value);
      dst[1] = green.of(value);
      dst[2] = blue.of(value);
    }
    picture.put_rgb(y_of(y), rgb.data());
  }
}

}  // namespace fastort::kernels::codecs
