// Col2Im: an invocation adds up what the blocks bring to one element of the image.
// operands: result [outer, image...], source [outer, taps, windows...], table
// The table: image, block, strides, dilations, first pads and windows, each for all dimensions.
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"

layout(local_size_x = GROUP) in;
layout(constant_id = 0) const uint kRank = 1;
PUSH(uint count; uint pixels; uint taps; uint windows;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  Words table = Words(ADDRESS(2));
  Reals src = Reals(ADDRESS(1));
  const uint outer = item / push.pixels;
  float sum = 0.0;
  for (uint tap = 0; tap < push.taps; ++tap) {
    uint rest = item % push.pixels, taps = tap, window = 0, scale = 1;
    bool meets = true;
    for (uint d = kRank; d-- > 0;) {
      const uint image = table.at[d], block = table.at[kRank + d], stride = table.at[2 * kRank + d];
      const uint windows = table.at[5 * kRank + d];
      const int from = int(rest % image + table.at[4 * kRank + d]) - int(taps % block * table.at[3 * kRank + d]);
      meets = meets && from >= 0 && uint(from) % stride == 0 && uint(from) / stride < windows;
      if (meets) window += uint(from) / stride * scale;
      scale *= windows;
      rest /= image;
      taps /= block;
    }
    if (meets) sum += float(src.at[(outer * push.taps + tap) * push.windows + window]);
  }
  Reals(ADDRESS(0)).at[item] = REAL(sum);
}
