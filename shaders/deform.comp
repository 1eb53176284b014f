// Deformable convolution over two dimensions: what each tap reads bilinearly at its place plus its offset, zero outside, times
// its mask; [batch, channels * taps, pixels]. And the sums of that with the weights, an element an invocation.
// operands of columns: result, X, offsets, mask
// operands of sums: Y, columns, weights, bias
// variant columns: -DCOLUMNS
// variant sums:
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"

layout(local_size_x = GROUP) in;
// The mask, or the bias, is there.
layout(constant_id = 0) const uint kHasMore = 0;

#ifdef COLUMNS
PUSH(uint count; uint channels; uint offset_groups; uint in_h; uint in_w; uint out_h; uint out_w; uint kernel_h;
     uint kernel_w; int stride_h; int stride_w; int dilation_h; int dilation_w; int pad_h; int pad_w;);

float pixel(uint base, int y, int x) {
  const bool inside = y >= 0 && y < int(push.in_h) && x >= 0 && x < int(push.in_w);
  return inside ? float(Reals(ADDRESS(1)).at[base + uint(y) * push.in_w + uint(x)]) : 0.0;
}

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const uint pixels = push.out_h * push.out_w, taps = push.kernel_h * push.kernel_w;
  const uint at = item % pixels, tap = item / pixels % taps, channel = item / (pixels * taps) % push.channels;
  const uint batch = item / (pixels * taps * push.channels);
  const uint group = channel / (push.channels / push.offset_groups);
  const uint first = (batch * push.offset_groups + group) * taps + tap;
  const int row = int(at / push.out_w), column = int(at % push.out_w);
  Reals offsets = Reals(ADDRESS(2));
  const float y = float(row * push.stride_h - push.pad_h + int(tap / push.kernel_w) * push.dilation_h) +
                  float(offsets.at[first * 2 * pixels + at]);
  const float x = float(column * push.stride_w - push.pad_w + int(tap % push.kernel_w) * push.dilation_w) +
                  float(offsets.at[(first * 2 + 1) * pixels + at]);
  float sum = 0.0;
  // Written so that NaN is outside.
  if (y > -1.0 && y < float(push.in_h) && x > -1.0 && x < float(push.in_w)) {
    const float top = floor(y), left = floor(x), dy = y - top, dx = x - left;
    const int y0 = int(top), x0 = int(left);
    const uint base = (batch * push.channels + channel) * push.in_h * push.in_w;
    sum = (1.0 - dy) * ((1.0 - dx) * pixel(base, y0, x0) + dx * pixel(base, y0, x0 + 1)) +
          dy * ((1.0 - dx) * pixel(base, y0 + 1, x0) + dx * pixel(base, y0 + 1, x0 + 1));
  }
  if (kHasMore == 1) sum *= float(Reals(ADDRESS(3)).at[first * pixels + at]);
  Reals(ADDRESS(0)).at[item] = REAL(sum);
}
#else
PUSH(uint count; uint pixels; uint maps; uint out_group; uint depth; uint groups;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const uint at = item % push.pixels, map = item / push.pixels % push.maps, batch = item / (push.pixels * push.maps);
  const uint group = map / push.out_group;
  uint from = (batch * push.groups + group) * push.depth * push.pixels + at;
  float sum = kHasMore == 1 ? float(Reals(ADDRESS(3)).at[map]) : 0.0;
  for (uint i = 0; i < push.depth; ++i, from += push.pixels)
    sum = fma(float(Reals(ADDRESS(2)).at[map * push.depth + i]), float(Reals(ADDRESS(1)).at[from]), sum);
  Reals(ADDRESS(0)).at[item] = REAL(sum);
}
#endif
