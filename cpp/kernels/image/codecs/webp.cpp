// WebP through libwebp's decoder.
#include <vector>

#include <webp/decode.h>

#include "kernels/image/codecs/codecs.h"

namespace fastort::kernels::codecs {

void decode_webp(File file, Picture& picture) {
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(file.data(), file.size(), &features) != VP8_STATUS_OK)
    bad_picture("WebP", "its header is damaged or cut off");
  if (features.has_animation) bad_picture("WebP", "animations are not supported");
  picture.begin(features.height, features.width);
  const size_t stride = static_cast<size_t>(features.width) * 3, bytes = stride * static_cast<size_t>(features.height);
  std::vector<uint8_t> own;
  uint8_t* rgb = picture.whole_rgb();
  if (!rgb) {
    own.resize(bytes);
    rgb = own.data();
  }
  if (!WebPDecodeRGBInto(file.data(), file.size(), rgb, bytes, static_cast<int>(stride)))
    bad_picture("WebP", "the file is damaged or cut off");
  if (own.empty()) return;
  for (int64_t y = 0; y < picture.height(); ++y) picture.put_rgb(y, rgb + static_cast<size_t>(y) * stride);
}

}  // namespace fastort::kernels::codecs
