// JPEG 2000 (bare code streams and JP2 files) through OpenJPEG.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <openjpeg.h>

#include "kernels/image/codecs/codecs.h"

namespace fastort::kernels::codecs {
namespace {

// The decoder holds each sample in four bytes, twice.
constexpr int64_t kMaxSamples = int64_t{1} << 27;
// A block of 64 x 64 pixels takes about a byte. Small pictures may be emptier than that.
constexpr int64_t kMaxPixelsPerByte = 4096, kSmallPicture = int64_t{1} << 22;

// OpenJPEG makes room for every tile and component that the main header announces, before it looks for one. A tile
// takes 14 bytes of the file at least.
void check_tiles(File file) {
  constexpr uint8_t kFirstTile[] = {0xFF, 0x90, 0, 10};
  const auto end = std::search(file.begin(), file.end(), std::begin(kFirstTile), std::end(kFirstTile));
  const File header = file.first(static_cast<size_t>(end - file.begin()));
  const auto number = [&](size_t at, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value = value << 8 | header[at + static_cast<size_t>(i)];
    return value;
  };
  for (size_t at = 0; at + 40 <= header.size(); ++at) {
    const uint64_t components = number(at + 38, 2);
    if (header[at] != 0xFF || header[at + 1] != 0x51 || number(at + 2, 2) != 38 + 3 * components) continue;
    if (components < 1 || components > 4)
      bad_picture("JPEG 2000", std::to_string(components) + " components are not supported");
    uint64_t tiles = 1;
    for (const size_t axis : {size_t{0}, size_t{4}}) {
      const uint64_t size = number(at + 6 + axis, 4), tile = number(at + 22 + axis, 4),
                     first = number(at + 30 + axis, 4);
      if (size <= first || tile == 0) bad_picture("JPEG 2000", "its tiles are damaged");
      tiles *= (size - first + tile - 1) / tile;
    }
    if (tiles > file.size() / 14) bad_picture("JPEG 2000", "the file is too short for its tiles");
  }
}

struct Reader {
  File file;
  size_t at = 0;
};

OPJ_SIZE_T read(void* dst, OPJ_SIZE_T count, void* user) {
  auto* stream = static_cast<Reader*>(user);
  const size_t bytes = std::min<size_t>(count, stream->file.size() - stream->at);
  if (bytes == 0) return static_cast<OPJ_SIZE_T>(-1);
  std::memcpy(dst, stream->file.data() + stream->at, bytes);
  stream->at += bytes;
  return bytes;
}

OPJ_OFF_T skip(OPJ_OFF_T count, void* user) {
  auto* stream = static_cast<Reader*>(user);
  if (count < 0) return -1;
  const size_t bytes = std::min<size_t>(static_cast<size_t>(count), stream->file.size() - stream->at);
  stream->at += bytes;
  return bytes == 0 && count > 0 ? -1 : static_cast<OPJ_OFF_T>(bytes);
}

OPJ_BOOL seek(OPJ_OFF_T to, void* user) {
  auto* stream = static_cast<Reader*>(user);
  if (to < 0 || static_cast<uint64_t>(to) > stream->file.size()) return OPJ_FALSE;
  stream->at = static_cast<size_t>(to);
  return OPJ_TRUE;
}

void on_error(const char* text, void* user) {
  auto* error = static_cast<std::string*>(user);
  if (!error->empty()) return;  // the first one is the cause
  *error = text;
  while (!error->empty() && error->back() == '\n') error->pop_back();
}

template <auto F>
struct Free {
  template <class T>
  void operator()(T* object) const {
    F(object);
  }
};
using Codec = std::unique_ptr<opj_codec_t, Free<opj_destroy_codec>>;
using Source = std::unique_ptr<opj_stream_t, Free<opj_stream_destroy>>;
using Image = std::unique_ptr<opj_image_t, Free<opj_image_destroy>>;

// One component, seen at the size of the picture.
struct Plane {
  const int32_t* samples;
  int64_t width, height;
  int64_t step_x, step_y;  // pixels of the picture per sample
  int offset;              // of signed samples
  int bits;

  // A row as bytes.
  void row(int64_t y, int64_t picture_width, uint8_t* dst) const {
    const int32_t* src = samples + std::min(y / step_y, height - 1) * width;
    const uint32_t max = (uint32_t{1} << bits) - 1;
    for (int64_t x = 0; x < picture_width; ++x) {
      const int64_t value = int64_t{src[std::min(x / step_x, width - 1)]} + offset;
      dst[x] = to_byte(static_cast<uint32_t>(std::clamp<int64_t>(value, 0, max)), max);
    }
  }
};

uint8_t clamped(float value) { return static_cast<uint8_t>(std::clamp(value + 0.5f, 0.0f, 255.0f)); }

// Luma and two colour differences (full range) to RGB, in place.
void ycc_to_rgb(uint8_t* pixel) {
  const float y = pixel[0], cb = static_cast<float>(pixel[1]) - 128.0f, cr = static_cast<float>(pixel[2]) - 128.0f;
  pixel[0] = clamped(y + 1.402f * cr);
  pixel[1] = clamped(y - 0.344136f * cb - 0.714136f * cr);
  pixel[2] = clamped(y + 1.772f * cb);
}

std::vector<Plane> planes_of(const opj_image_t& image) {
  std::vector<Plane> planes;
  for (OPJ_UINT32 i = 0; i < image.numcomps; ++i) {
    const opj_image_comp_t& c = image.comps[i];
    if (!c.data || c.w == 0 || c.h == 0 || c.dx == 0 || c.dy == 0) bad_picture("JPEG 2000", "a component is missing");
    if (c.prec < 1 || c.prec > 31)
      bad_picture("JPEG 2000", std::to_string(c.prec) + " bits a sample are not supported");
    const int offset = c.sgnd ? 1 << (c.prec - 1) : 0;
    planes.push_back({c.data, c.w, c.h, c.dx, c.dy, offset, static_cast<int>(c.prec)});
  }
  return planes;
}

}  // namespace

void decode_jpeg2000(File file, Picture& picture) {
  check_tiles(file);
  std::string error;
  const auto check = [&](bool ok) {
    if (!ok) bad_picture("JPEG 2000", error.empty() ? "the file is damaged or cut off" : error);
  };
  const Codec codec(opj_create_decompress(file[0] == 0 ? OPJ_CODEC_JP2 : OPJ_CODEC_J2K));
  const Source stream(opj_stream_default_create(OPJ_TRUE));
  check(codec && stream);
  opj_set_error_handler(codec.get(), on_error, &error);
  opj_dparameters_t parameters;
  opj_set_default_decoder_parameters(&parameters);
  check(opj_setup_decoder(codec.get(), &parameters));
  Reader reader{file};
  opj_stream_set_user_data(stream.get(), &reader, nullptr);
  opj_stream_set_user_data_length(stream.get(), file.size());
  opj_stream_set_read_function(stream.get(), read);
  opj_stream_set_skip_function(stream.get(), skip);
  opj_stream_set_seek_function(stream.get(), seek);

  opj_image_t* made = nullptr;
  const bool header = opj_read_header(stream.get(), codec.get(), &made);
  const Image image(header ? made : nullptr);
  check(header && image);
  const int64_t width = int64_t{image->x1} - image->x0, height = int64_t{image->y1} - image->y0;
  if (image->numcomps < 1) bad_picture("JPEG 2000", "it has no components");
  if (width > 0 && height > 0) {
    if (height > kMaxSamples / width / image->numcomps)
      bad_picture("JPEG 2000", std::to_string(width) + " x " + std::to_string(height) + " pixels are too many");
    if (height * width > std::max(kSmallPicture, static_cast<int64_t>(file.size()) * kMaxPixelsPerByte))
      bad_picture("JPEG 2000", "the file is too short for its size");
  }
  picture.begin(height, width);
  check(opj_decode(codec.get(), stream.get(), image.get()));
  check(opj_end_decompress(codec.get(), stream.get()));

  const std::vector<Plane> planes = planes_of(*image);
  std::vector<uint8_t> channel(static_cast<size_t>(width));
  if (planes.size() < 3) {
    for (int64_t y = 0; y < height; ++y) {
      planes[0].row(y, width, channel.data());
      picture.put_gray(y, channel.data());
    }
    return;
  }
  const bool cmyk = image->color_space == OPJ_CLRSPC_CMYK && planes.size() == 4;
  const bool ycc = image->color_space == OPJ_CLRSPC_SYCC || image->color_space == OPJ_CLRSPC_EYCC;
  const size_t used = cmyk ? 4 : 3;
  std::vector<uint8_t> pixels(static_cast<size_t>(width) * used);
  for (int64_t y = 0; y < height; ++y) {
    for (size_t c = 0; c < used; ++c) {
      planes[c].row(y, width, channel.data());
      for (size_t x = 0; x < static_cast<size_t>(width); ++x) pixels[x * used + c] = channel[x];
    }
    for (size_t x = 0; x < static_cast<size_t>(width) && (cmyk || ycc); ++x) {
      uint8_t* pixel = pixels.data() + x * used;
      if (ycc) ycc_to_rgb(pixel);
      if (cmyk) {
        for (int c = 0; c < 3; ++c) pixel[c] = scaled(255 - pixel[c], 255 - pixel[3]);
      }
    }
    picture.put_rgb(y, pixels.data(), static_cast<int>(used));
  }
}

}  // namespace fastort::kernels::codecs
