// Convolution of 8-bit integers over up to three spatial dimensions: sums of int32, or bytes again. An invocation makes
// one element. What lies in the padding is the zero point, and adds nothing.
// operands: Y, X, W, zero of X, zero of W, scale of X, scale of W, scale of Y, zero of Y, bias
// variant i32: -DT_U8
// variant byte: -DT_U8 -DQUANTIZE
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"
#include "common/typed.glsl"
#include "common/bytes.glsl"
#include "common/window.glsl"

layout(local_size_x = GROUP) in;
layout(constant_id = 3) const uint kHasXZero = 0;
// 0 none, 1 one, 2 one for each channel of the result.
layout(constant_id = 4) const uint kWZeros = 0;
layout(constant_id = 5) const uint kScalePerChannel = 0;
layout(constant_id = 6) const uint kHasBias = 0;
// In front of the quantization: 0 nothing, 1 Relu, 2 bounds.
layout(constant_id = 7) const uint kActivation = 0;
PUSH(WINDOW uint in_group; uint out_group; uint groups; float act_a; float act_b;);

int place(uint at, uint tap, uint stride, uint dilation, int pad, uint size) {
  const int place = int(at * stride) - pad + int(tap * dilation);
  return place >= 0 && place < int(size) ? place : -1;
}

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const uint pixels = push.out_d * push.out_h * push.out_w, in_pixels = push.in_d * push.in_h * push.in_w;
  const uint taps = push.kernel_d * push.kernel_h * push.kernel_w;
  const uint pixel = item % pixels, channel = item / pixels % (push.groups * push.out_group);
  const uint batch = item / pixels / (push.groups * push.out_group), group = channel / push.out_group;
  const uint column = pixel % push.out_w, row = pixel / push.out_w % push.out_h, plane = pixel / (push.out_w * push.out_h);
  const uint x0 = (batch * push.groups + group) * push.in_group * in_pixels, w0 = channel * push.in_group * taps;
  const int x_zero = kHasXZero == 1 ? byte_at(Elements(ADDRESS(3)), 0, kSignedA) : 0;
  const int w_zero = kWZeros == 0 ? 0 : byte_at(Elements(ADDRESS(4)), kWZeros == 1 ? 0 : channel, kSignedB);
  int sum = 0;
  for (uint i = 0; i < push.kernel_d; ++i) {
    const int d = place(plane, i, push.stride_d, push.dilation_d, push.pad_d, push.in_d);
    if (d < 0) continue;
    for (uint j = 0; j < push.kernel_h; ++j) {
      const int h = place(row, j, push.stride_h, push.dilation_h, push.pad_h, push.in_h);
      if (h < 0) continue;
      for (uint k = 0; k < push.kernel_w; ++k) {
        const int v = place(column, k, push.stride_w, push.dilation_w, push.pad_w, push.in_w);
        if (v < 0) continue;
        uint from = x0 + (uint(d) * push.in_h + uint(h)) * push.in_w + uint(v);
        uint weight = w0 + (i * push.kernel_h + j) * push.kernel_w + k;
        for (uint c = 0; c < push.in_group; ++c, from += in_pixels, weight += taps)
          sum += (byte_at(Elements(ADDRESS(1)), from, kSignedA) - x_zero) * (byte_at(Elements(ADDRESS(2)), weight, kSignedB) - w_zero);
      }
    }
  }
#ifdef QUANTIZE
  if (kHasBias == 1) sum += Integers(ADDRESS(9)).at[channel];
  const float y_scale = Floats(ADDRESS(7)).at[0];
  const float scale = Floats(ADDRESS(5)).at[0] * Floats(ADDRESS(6)).at[kScalePerChannel == 1 ? channel : 0] / y_scale;
  const int zero = byte_at(Elements(ADDRESS(8)), 0, kSignedY);
  const Bounds bounds = bounds_of(zero, kActivation, push.act_a, push.act_b, y_scale);
  Elements(ADDRESS(0)).at[item] = quantized(float(sum) * scale, bounds.low, bounds.high, zero);
#else
  Integers(ADDRESS(0)).at[item] = sum;
#endif
}
