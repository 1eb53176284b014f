// PNG through libpng.
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <vector>

#include <png.h>

#include "kernels/image/codecs/codecs.h"

namespace fastort::kernels::codecs {
namespace {

// Deflate makes at most 1032 bytes of one.
constexpr int64_t kMaxDeflate = 1040;

// As with JPEG, no frame between the library and a setjmp holds anything that must be destroyed.
struct Decoder {
  explicit Decoder(File bytes) : rest(bytes) {}
  ~Decoder() { png_destroy_read_struct(&png, &info, nullptr); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  png_structp png = nullptr;
  png_infop info = nullptr;
  File rest;
  char message[200] = "out of memory";
  int passes = 1;

  static void on_error(png_structp png, png_const_charp text) {
    auto* self = static_cast<Decoder*>(png_get_error_ptr(png));
    std::snprintf(self->message, sizeof(self->message), "%s", text);
    png_longjmp(png, 1);
  }

  static void on_warning(png_structp, png_const_charp) {}

  static void read(png_structp png, png_bytep dst, size_t count) {
    auto* self = static_cast<Decoder*>(png_get_io_ptr(png));
    if (count > self->rest.size()) png_error(png, "the file ends too early");
    std::memcpy(dst, self->rest.data(), count);
    self->rest = self->rest.subspan(count);
  }

  // False where the library gave up.
  bool read_header() {
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    if (!png) return false;
    info = png_create_info_struct(png);
    if (!info) return false;
    if (setjmp(png_jmpbuf(png))) return false;
    png_set_read_fn(png, this, read);
    png_read_info(png, info);
    return true;
  }

  // Asks for 8 bits of gray or RGB, without alpha.
  bool start() {
    if (setjmp(png_jmpbuf(png))) return false;
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_strip_alpha(png);
    passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    return true;
  }

  bool read_row(uint8_t* row) {
    if (setjmp(png_jmpbuf(png))) return false;
    png_read_row(png, row, nullptr);
    return true;
  }
};

}  // namespace

void decode_png(File file, Picture& picture) {
  Decoder decoder(file);
  const auto check = [&](bool ok) {
    if (!ok) bad_picture("PNG", decoder.message);
  };
  check(decoder.read_header());
  const int64_t height = png_get_image_height(decoder.png, decoder.info);
  const int64_t width = png_get_image_width(decoder.png, decoder.info);
  const auto row_bytes = static_cast<int64_t>(png_get_rowbytes(decoder.png, decoder.info));
  if (row_bytes > 0 && height / kMaxDeflate > static_cast<int64_t>(file.size()) / row_bytes + 1)
    bad_picture("PNG", "the file is too short for its size");
  picture.begin(height, width);
  check(decoder.start());
  const int count = png_get_channels(decoder.png, decoder.info);
  if ((count != 1 && count != 3) || png_get_rowbytes(decoder.png, decoder.info) != static_cast<size_t>(width * count))
    bad_picture("PNG", "its pixels have a form that is not supported");

  // An interlaced picture is read in passes over all rows, each of which adds to what is there.
  const bool whole = decoder.passes > 1;
  std::vector<uint8_t> rows(static_cast<size_t>(whole ? height : 1) * static_cast<size_t>(width * count));
  for (int pass = 0; pass < decoder.passes; ++pass) {
    for (int64_t y = 0; y < height; ++y) {
      uint8_t* row = rows.data() + (whole ? y * width * count : 0);
      check(decoder.read_row(row));
      if (pass + 1 < decoder.passes) continue;
      if (count == 1)
        picture.put_gray(y, row);
      else
        picture.put_rgb(y, row);
    }
  }
}

}  // namespace fastort::kernels::codecs
