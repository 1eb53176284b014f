// Convolution over up to three spatial dimensions, and the transposed one: an invocation makes one element. For sizes
// that the faster shaders do not take.
// operands: Y, X, W, bias, residual
// variant forward: -DFORWARD
// variant transposed: -DTRANSPOSED
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"
#include "common/epilogue.glsl"
#include "common/window.glsl"

layout(local_size_x = GROUP) in;
// Channels of one group of channels, and the groups.
PUSH(WINDOW uint in_group; uint out_group; uint groups; float act_a; float act_b;);

// Where a tap meets the input along one dimension, or -1.
int place(uint at, uint tap, uint stride, uint dilation, int pad, uint size) {
#ifdef TRANSPOSED
  const int from = int(at) + pad - int(tap * dilation);
  if (from < 0 || from % int(stride) != 0) return -1;
  const int place = from / int(stride);
#else
  const int place = int(at * stride) - pad + int(tap * dilation);
#endif
  return place >= 0 && place < int(size) ? place : -1;
}

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  Reals x = Reals(ADDRESS(1));
  Reals w = Reals(ADDRESS(2));
  const uint pixels = push.out_d * push.out_h * push.out_w, in_pixels = push.in_d * push.in_h * push.in_w;
  const uint taps = push.kernel_d * push.kernel_h * push.kernel_w;
  const uint pixel = item % pixels, channel = item / pixels % (push.groups * push.out_group);
  const uint batch = item / pixels / (push.groups * push.out_group);
  const uint group = channel / push.out_group, own = channel % push.out_group;
  const uint column = pixel % push.out_w, row = pixel / push.out_w % push.out_h, plane = pixel / (push.out_w * push.out_h);
  const uint x0 = (batch * push.groups + group) * push.in_group * in_pixels;
#ifdef TRANSPOSED
  const uint w0 = (group * push.in_group * push.out_group + own) * taps, w_step = push.out_group * taps;
#else
  const uint w0 = channel * push.in_group * taps, w_step = taps;
#endif
  float sum = 0.0;
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
        for (uint c = 0; c < push.in_group; ++c, from += in_pixels, weight += w_step)
          sum = fma(float(w.at[weight]), float(x.at[from]), sum);
      }
    }
  }
#ifdef TRANSPOSED
  if (kAddend != 0) sum += float(Reals(ADDRESS(3)).at[channel]);
  Reals(ADDRESS(0)).at[item] = REAL(sum);
#else
  Reals(ADDRESS(0)).at[item] = REAL(epilogue(sum, Reals(ADDRESS(3)), channel, pixel, item, Reals(ADDRESS(4)), 1.0, 1.0,
                                             push.act_a, push.act_b));
#endif
}
