// Maximum and average of quantized bytes over windows of up to three spatial dimensions, N C D H W or N D H W C.
// operands: Y, X, scale of X, zero of X, scale of Y, zero of Y, indices (int64: where the maxima lie in X, or -1)
// variant : -DT_U8
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/bytes.glsl"

layout(local_size_x = GROUP) in;
// 0 the maximum, 1 the average over what lies inside the input, 2 over the padded input.
layout(constant_id = 3) const uint kKind = 0;
// Bits of the zeros that are there: X, Y.
layout(constant_id = 4) const uint kZeros = 0;
// 0 none, 1 as the elements lie, 2 with the first spatial dimension as the fastest.
layout(constant_id = 5) const uint kIndices = 0;
// `channels` are the last dimension, or 1.
PUSH(uint count; uint in_d; uint in_h; uint in_w; uint out_d; uint out_h; uint out_w; uint kernel_d; uint kernel_h;
     uint kernel_w; uint stride_d; uint stride_h; uint stride_w; uint dilation_d; uint dilation_h; uint dilation_w;
     int pad_d; int pad_h; int pad_w; int padded_d; int padded_h; int padded_w; uint channels;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const uint channel = item % push.channels, pixel = item / push.channels;
  const uint w = pixel % push.out_w, h = pixel / push.out_w % push.out_h;
  const uint d = pixel / (push.out_w * push.out_h) % push.out_d, plane = pixel / (push.out_w * push.out_h * push.out_d);
  const uint base = plane * push.in_d * push.in_h * push.in_w;
  const int d0 = int(d * push.stride_d) - push.pad_d, h0 = int(h * push.stride_h) - push.pad_h,
            w0 = int(w * push.stride_w) - push.pad_w;
  const int x_zero = (kZeros & 1) == 1 ? byte_at(Elements(ADDRESS(3)), 0, kSignedA) : 0;
  int best = kSignedA == 1 ? -128 : 0, sum = 0, inside = 0, padded = 0;
  uint best_at = 0xffffffffu;
  for (uint i = 0; i < push.kernel_d; ++i) {
    const int z = d0 + int(i * push.dilation_d);
    if (z >= push.padded_d) break;
    for (uint j = 0; j < push.kernel_h; ++j) {
      const int y = h0 + int(j * push.dilation_h);
      if (y >= push.padded_h) break;
      for (uint k = 0; k < push.kernel_w; ++k) {
        const int column = w0 + int(k * push.dilation_w);
        if (column >= push.padded_w) break;
        ++padded;
        if (z < 0 || z >= int(push.in_d) || y < 0 || y >= int(push.in_h) || column < 0 || column >= int(push.in_w))
          continue;
        ++inside;
        const uint at = base + (uint(z) * push.in_h + uint(y)) * push.in_w + uint(column);
        const int value = byte_at(Elements(ADDRESS(1)), at * push.channels + channel, kSignedA);
        if (best_at == 0xffffffffu || value > best) {
          best = value;
          best_at = at;
        }
        sum += value - x_zero;
      }
    }
  }
  if (kKind == 0) {
    if (kIndices == 2 && best_at != 0xffffffffu) {
      const uint own = best_at - base, own_w = own % push.in_w, own_h = own / push.in_w % push.in_h;
      best_at = base + own / (push.in_w * push.in_h) + push.in_d * (own_h + push.in_h * own_w);
    }
    if (kIndices != 0) Pairs(ADDRESS(6)).at[item] = uvec2(best_at, best_at == 0xffffffffu ? best_at : 0);
    Elements(ADDRESS(0)).at[item] = ELEMENT(uint(best) & 255u);
    return;
  }
  const int y_zero = (kZeros & 2) != 0 ? byte_at(Elements(ADDRESS(5)), 0, kSignedY) : 0;
  const int among = kKind == 1 ? inside : padded;
  const float ratio = Floats(ADDRESS(2)).at[0] / Floats(ADDRESS(4)).at[0];
  const float y = among == 0 ? 0.0 : float(sum) * (ratio / float(among));
  const Bounds bounds = bounds_of(y_zero, 0, 0.0, 0.0, 1.0);
  Elements(ADDRESS(0)).at[item] = quantized(y, bounds.low, bounds.high, y_zero);
}
