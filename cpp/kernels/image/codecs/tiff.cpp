// TIFF through libtiff. The first picture of a file is read.
#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <tiffio.h>

#include "kernels/image/codecs/codecs.h"

namespace fastort::kernels::codecs {
namespace {

constexpr tmsize_t kMaxAllocation = tmsize_t{1} << 30;

// What the library reads from, and what it complains of.
struct Client {
  File file;
  uint64_t at = 0;
  std::string error;
};

Client& client(thandle_t handle) { return *static_cast<Client*>(handle); }

tmsize_t read(thandle_t handle, void* dst, tmsize_t count) {
  Client& self = client(handle);
  if (count <= 0 || self.at >= self.file.size()) return 0;
  const auto bytes = std::min<uint64_t>(static_cast<uint64_t>(count), self.file.size() - self.at);
  std::memcpy(dst, self.file.data() + self.at, bytes);
  self.at += bytes;
  return static_cast<tmsize_t>(bytes);
}

tmsize_t write(thandle_t, void*, tmsize_t) { return 0; }

toff_t seek(thandle_t handle, toff_t offset, int whence) {
  Client& self = client(handle);
  const uint64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? self.at : self.file.size();
  self.at = from + offset;
  return self.at;
}

int close(thandle_t) { return 0; }
toff_t size(thandle_t handle) { return client(handle).file.size(); }

int on_error(TIFF*, void* user, const char*, const char* format, va_list arguments) {
  char text[300];
  std::vsnprintf(text, sizeof(text), format, arguments);
  auto& error = static_cast<Client*>(user)->error;
  if (error.empty()) error = text;  // the first one is the cause
  return 1;
}

int on_warning(TIFF*, void*, const char*, const char*, va_list) { return 1; }

struct Close {
  void operator()(TIFF* tiff) const { TIFFClose(tiff); }
  void operator()(TIFFOpenOptions* options) const { TIFFOpenOptionsFree(options); }
  void operator()(TIFFRGBAImage* image) const { TIFFRGBAImageEnd(image); }
};

std::unique_ptr<TIFF, Close> open(Client& self) {
  const std::unique_ptr<TIFFOpenOptions, Close> options(TIFFOpenOptionsAlloc());
  if (!options) return nullptr;
  TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), kMaxAllocation);
  TIFFOpenOptionsSetMaxCumulatedMemAlloc(options.get(), kMaxAllocation);
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), on_error, &self);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), on_warning, &self);
  // "m": the file is in memory already, there is nothing to map.
  return std::unique_ptr<TIFF, Close>(
      TIFFClientOpenExt("picture", "rm", &self, read, write, seek, close, size, nullptr, nullptr, options.get()));
}

// Whether the file can hold what it says it does.
bool is_long_enough(TIFF* tiff, size_t file_bytes) {
  uint16_t compression = COMPRESSION_NONE, bits = 1, samples = 1;
  TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &compression);
  if (compression != COMPRESSION_NONE) return true;
  uint32_t width = 0, height = 0;
  TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width);
  TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &bits);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
  // Subsampled chroma takes at least a quarter of what is counted here.
  return width == 0 || height / 4 <= file_bytes * 8 / (uint64_t{width} * std::max<uint32_t>(1, bits * samples)) + 1;
}

// Where pixel (x, y) of the picture as seen stands among the stored rows.
size_t stored_index(int orientation, uint32_t x, uint32_t y, uint32_t stored_width, uint32_t stored_height) {
  const uint32_t w = stored_width - 1, h = stored_height - 1;
  uint32_t row = y, column = x;
  switch (orientation) {
    case ORIENTATION_TOPRIGHT:
      column = w - x;
      break;
    case ORIENTATION_BOTRIGHT:
      row = h - y;
      column = w - x;
      break;
    case ORIENTATION_BOTLEFT:
      row = h - y;
      break;
    case ORIENTATION_LEFTTOP:
      row = x;
      column = y;
      break;
    case ORIENTATION_RIGHTTOP:
      row = h - x;
      column = y;
      break;
    case ORIENTATION_RIGHTBOT:
      row = h - x;
      column = w - y;
      break;
    case ORIENTATION_LEFTBOT:
      row = x;
      column = w - y;
      break;
    default:
      break;
  }
  return size_t{row} * stored_width + column;
}

}  // namespace

void decode_tiff(File file, Picture& picture) {
  Client self{file, 0, {}};
  const auto tiff = open(self);
  const auto give_up = [&](const char* fallback) { bad_picture("TIFF", self.error.empty() ? fallback : self.error); };
  if (!tiff) give_up("its directory is damaged or cut off");

  if (!is_long_enough(tiff.get(), file.size())) bad_picture("TIFF", "the file is too short for its size");

  // Told that the alpha is premultiplied, the library leaves the colours as they are stored.
  uint16_t extras = 0;
  uint16_t* kinds = nullptr;
  if (TIFFGetField(tiff.get(), TIFFTAG_EXTRASAMPLES, &extras, &kinds) && extras >= 1) {
    std::vector<uint16_t> changed(kinds, kinds + extras);
    std::replace(changed.begin(), changed.end(), uint16_t{EXTRASAMPLE_UNASSALPHA}, uint16_t{EXTRASAMPLE_ASSOCALPHA});
    TIFFSetField(tiff.get(), TIFFTAG_EXTRASAMPLES, extras, changed.data());
  }

  char why[1024] = "";
  TIFFRGBAImage image;
  if (!TIFFRGBAImageBegin(&image, tiff.get(), 1, why)) bad_picture("TIFF", why);
  const std::unique_ptr<TIFFRGBAImage, Close> end(&image);
  const uint32_t width = image.width, height = image.height;
  const int orientation = image.orientation;
  const bool turned = orientation >= ORIENTATION_LEFTTOP && orientation <= ORIENTATION_LEFTBOT;
  picture.begin(turned ? width : height, turned ? height : width);

  // The rows as they are stored. Uninitialised, so that a file which ends early costs no memory.
  image.req_orientation = image.orientation;
  const std::unique_ptr<uint32_t[]> raster(new uint32_t[size_t{width} * height]);
  if (!TIFFRGBAImageGet(&image, raster.get(), width, height)) give_up("its pixels are damaged or cut off");

  std::vector<uint8_t> row(static_cast<size_t>(picture.width()) * 3);
  for (int64_t y = 0; y < picture.height(); ++y) {
    for (int64_t x = 0; x < picture.width(); ++x) {
      const uint32_t pixel =
          raster[stored_index(orientation, static_cast<uint32_t>(x), static_cast<uint32_t>(y), width, height)];
      uint8_t* dst = row.data() + x * 3;
      dst[0] = static_cast<uint8_t>(TIFFGetR(pixel));
      dst[1] = static_cast<uint8_t>(TIFFGetG(pixel));
      dst[2] = static_cast<uint8_t>(TIFFGetB(pixel));
    }
    picture.put_rgb(y, row.data());
  }
}

}  // namespace fastort::kernels::codecs
