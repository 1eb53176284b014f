// Maximum, average and p-norm over windows of up to three spatial dimensions, N C D H W. NaN wins a maximum.
// operands: Y, X, indices (int64: where the maxima lie in X, or -1)
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"
#include "common/math.glsl"

layout(local_size_x = GROUP) in;
// 0 the maximum, 1 the average over what lies inside the input, 2 over the padded input, 3 the p-norm.
layout(constant_id = 0) const uint kKind = 0;
// 0 none, 1 as the elements lie, 2 with the first spatial dimension as the fastest.
layout(constant_id = 1) const uint kIndices = 0;
PUSH(uint count; uint in_d; uint in_h; uint in_w; uint out_d; uint out_h; uint out_w; uint kernel_d; uint kernel_h;
     uint kernel_w; uint stride_d; uint stride_h; uint stride_w; uint dilation_d; uint dilation_h; uint dilation_w;
     int pad_d; int pad_h; int pad_w; int padded_d; int padded_h; int padded_w; float p;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  Reals x = Reals(ADDRESS(1));
  const uint w = item % push.out_w, h = item / push.out_w % push.out_h;
  const uint d = item / (push.out_w * push.out_h) % push.out_d, plane = item / (push.out_w * push.out_h * push.out_d);
  const uint base = plane * push.in_d * push.in_h * push.in_w;
  const int d0 = int(d * push.stride_d) - push.pad_d, h0 = int(h * push.stride_h) - push.pad_h,
            w0 = int(w * push.stride_w) - push.pad_w;
  float result = kKind == 0 ? -INFINITY : 0.0;
  uint inside = 0, padded = 0, best = 0xffffffffu;
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
        const float value = float(x.at[at]);
        if (kKind == 3) {
          result += push.p == 1.0 ? abs(value) : push.p == 2.0 ? value * value : power(abs(value), push.p);
        } else if (kKind != 0) {
          result += value;
        } else if (best == 0xffffffffu || (!isnan(result) && !(value <= result))) {
          // The first NaN stays.
          result = value;
          best = at;
        }
      }
    }
  }
  if (kKind == 1) result = inside == 0 ? 0.0 : result / float(inside);
  if (kKind == 2) result = padded == 0 ? 0.0 : result / float(padded);
  if (kKind == 3) result = push.p == 1.0 ? result : push.p == 2.0 ? sqrt(result) : power(result, 1.0 / push.p);
  if (kIndices == 2 && best != 0xffffffffu) {
    const uint own = best - base, own_w = own % push.in_w, own_h = own / push.in_w % push.in_h;
    best = base + own / (push.in_w * push.in_h) + push.in_d * (own_h + push.in_h * own_w);
  }
  if (kIndices != 0) Pairs(ADDRESS(2)).at[item] = uvec2(best, best == 0xffffffffu ? best : 0);
  Reals(ADDRESS(0)).at[item] = REAL(result);
}
