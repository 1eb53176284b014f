// JPEG through libjpeg-turbo.
#include <csetjmp>
#include <cstdio>
#include <vector>

#include <jpeglib.h>
// Needs jpeglib.h before it, which needs size_t and FILE.
#include <jerror.h>

#include "kernels/image/codecs/codecs.h"

namespace fastort::kernels::codecs {
namespace {

// A progressive file may send each pixel again and again; real ones have about ten scans.
constexpr int kMaxScans = 500;
// A block of 64 pixels takes at least a bit of Huffman code, whatever the tables; four times that is left for oddities.
constexpr int64_t kMaxPixelsPerByte = 2048;

// libjpeg leaves by a jump, so that no frame between `decode` and the library holds anything that must be destroyed.
struct Errors {
  jpeg_error_mgr manager;
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void leave(j_common_ptr info) {
  auto* errors = reinterpret_cast<Errors*>(info->err);
  info->err->format_message(info, errors->message);
  std::longjmp(errors->jump, 1);
}

void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  // Of the warnings, these say that pixels are made up.
  switch (info->err->msg_code) {
    case JWRN_ARITH_BAD_CODE:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_JPEG_EOF:
    case JWRN_MUST_RESYNC:
      leave(info);
    default:
      return;
  }
}

void on_progress(j_common_ptr info) {
  if (!info->is_decompressor) return;
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= kMaxScans) return;
  auto* errors = reinterpret_cast<Errors*>(info->err);
  std::snprintf(errors->message, sizeof(errors->message), "more than %d scans", kMaxScans);
  std::longjmp(errors->jump, 1);
}

struct Decoder {
  jpeg_decompress_struct info = {};
  jpeg_progress_mgr progress = {};
  Errors errors = {};
  bool made = false;

  ~Decoder() {
    if (made) jpeg_destroy_decompress(&info);
  }

  // False where the library gave up; `errors.message` says why.
  bool read_header(File file) {
    info.err = jpeg_std_error(&errors.manager);
    errors.manager.error_exit = leave;
    errors.manager.emit_message = on_message;
    if (setjmp(errors.jump)) return false;
    jpeg_create_decompress(&info);
    made = true;
    progress.progress_monitor = on_progress;
    info.progress = &progress;
    jpeg_mem_src(&info, file.data(), static_cast<unsigned long>(file.size()));
    jpeg_read_header(&info, TRUE);
    switch (info.jpeg_color_space) {
      case JCS_GRAYSCALE:
        info.out_color_space = JCS_GRAYSCALE;
        break;
      case JCS_CMYK:
      case JCS_YCCK:
        info.out_color_space = JCS_CMYK;
        break;
      default:
        info.out_color_space = JCS_RGB;
        break;
    }
    return true;
  }

  bool start() {
    if (setjmp(errors.jump)) return false;
    jpeg_start_decompress(&info);
    return true;
  }

  bool read_row(uint8_t* row) {
    if (setjmp(errors.jump)) return false;
    jpeg_read_scanlines(&info, &row, 1);
    return true;
  }
};

// Inks to light. Adobe's programs, which mark their files, store the inks inverted.
void cmyk_to_rgb(const uint8_t* src, int64_t count, bool inverted, uint8_t* dst) {
  const int flip = inverted ? 0 : 255;
  for (int64_t i = 0; i < count; ++i, src += 4, dst += 3) {
    for (int c = 0; c < 3; ++c) dst[c] = scaled(src[c] ^ flip, src[3] ^ flip);
  }
}

}  // namespace

void decode_jpeg(File file, Picture& picture) {
  Decoder decoder;
  const auto check = [&](bool ok) {
    if (!ok) bad_picture("JPEG", decoder.errors.message);
  };
  check(decoder.read_header(file));
  const jpeg_decompress_struct& info = decoder.info;
  const int64_t height = info.image_height, width = info.image_width;
  if (!info.arith_code && height * width / kMaxPixelsPerByte > static_cast<int64_t>(file.size()))
    bad_picture("JPEG", "the file is too short for its size");
  picture.begin(height, width);
  check(decoder.start());
  std::vector<uint8_t> row(static_cast<size_t>(width) * 4), rgb;
  const bool cmyk = info.out_color_space == JCS_CMYK;
  if (cmyk) rgb.resize(static_cast<size_t>(width) * 3);
  for (int64_t y = 0; y < height; ++y) {
    check(decoder.read_row(row.data()));
    if (cmyk) {
      cmyk_to_rgb(row.data(), width, info.saw_Adobe_marker, rgb.data());
      picture.put_rgb(y, rgb.data());
    } else if (info.out_color_space == JCS_GRAYSCALE) {
      picture.put_gray(y, row.data());
    } else {
      picture.put_rgb(y, row.data());
    }
  }
}

}  // namespace fastort::kernels::codecs
