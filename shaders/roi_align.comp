// RoiAlign: an invocation makes one bin of one channel of one region.
// operands: result [R, C, height, width], X [N, C, H, W], regions [R, 4], batch indices (int64)
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"

layout(local_size_x = GROUP) in;
layout(constant_id = 0) const uint kMaximum = 0;
layout(constant_id = 1) const uint kHalfPixel = 0;
PUSH(uint count; uint channels; uint height; uint width; uint src_height; uint src_width; uint batches;
     uint sampling_ratio; float scale;);

// As many samples in all bins of a region are taken for a mistake.
const float kMostSamples = 268435456.0;

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const uint column = item % push.width, row = item / push.width % push.height;
  const uint channel = item / (push.width * push.height) % push.channels;
  const uint region = item / (push.width * push.height * push.channels);
  const uvec2 batch = Pairs(ADDRESS(3)).at[region];
  if (batch.y != 0 || batch.x >= push.batches) {
    REPORT();
    return;
  }
  Reals x = Reals(ADDRESS(1));
  Reals regions = Reals(ADDRESS(2));
  float edge[4];
  for (uint i = 0; i < 4; ++i)
    edge[i] = float(regions.at[4 * region + i]) * push.scale - (kHalfPixel == 1 ? 0.5 : 0.0);
  float wide = edge[2] - edge[0], high = edge[3] - edge[1];
  if (kHalfPixel == 0) {
    wide = max(wide, 1.0);
    high = max(high, 1.0);
  }
  const float bin_height = high / float(push.height), bin_width = wide / float(push.width);
  const float rows = push.sampling_ratio > 0 ? float(push.sampling_ratio) : max(ceil(bin_height), 0.0);
  const float columns = push.sampling_ratio > 0 ? float(push.sampling_ratio) : max(ceil(bin_width), 0.0);
  if (!(rows < 1e6 && columns < 1e6 && rows * columns * float(push.height * push.width) <= kMostSamples)) {
    REPORT();
    return;
  }
  const uint plane = (batch.x * push.channels + channel) * push.src_height * push.src_width;
  float result = 0.0;
  bool first = true;
  for (uint i = 0; i < uint(rows); ++i) {
    const float y0 = edge[1] + float(row) * bin_height + (float(i) + 0.5) * bin_height / rows;
    for (uint j = 0; j < uint(columns); ++j) {
      const float x0 = edge[0] + float(column) * bin_width + (float(j) + 0.5) * bin_width / columns;
      float parts[4] = float[4](0.0, 0.0, 0.0, 0.0);
      if (y0 >= -1.0 && y0 <= float(push.src_height) && x0 >= -1.0 && x0 <= float(push.src_width)) {
        float v = max(y0, 0.0), u = max(x0, 0.0);
        uint top = uint(v), left = uint(u), bottom = top + 1, right = left + 1;
        if (top + 1 >= push.src_height) {
          top = bottom = push.src_height - 1;
          v = float(top);
        }
        if (left + 1 >= push.src_width) {
          left = right = push.src_width - 1;
          u = float(left);
        }
        const float down = v - float(top), along = u - float(left);
        parts[0] = (1.0 - down) * (1.0 - along) * float(x.at[plane + top * push.src_width + left]);
        parts[1] = (1.0 - down) * along * float(x.at[plane + top * push.src_width + right]);
        parts[2] = down * (1.0 - along) * float(x.at[plane + bottom * push.src_width + left]);
        parts[3] = down * along * float(x.at[plane + bottom * push.src_width + right]);
      } else {
        // A point outside has the weight 0: what it is multiplied with is seen all the same where it is no number.
        const float nothing = 0.0 * float(x.at[plane]);
        parts = float[4](nothing, nothing, nothing, nothing);
      }
      if (kMaximum == 1) {
        // ONNX takes the largest of the weighted pixels, not of the interpolated points.
        const float largest = max(max(parts[0], parts[1]), max(parts[2], parts[3]));
        result = first ? largest : max(result, largest);
        first = false;
      } else {
        result += parts[0] + parts[1] + parts[2] + parts[3];
      }
    }
  }
  if (kMaximum == 0) result /= max(rows * columns, 1.0);
  Reals(ADDRESS(0)).at[item] = REAL(result);
}
