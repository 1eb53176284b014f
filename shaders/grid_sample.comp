// GridSample over up to three spatial dimensions: an invocation makes one element.
// operands: result [N, C, points], source [N, C, D, H, W], grid [N, points, dims]
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"

layout(local_size_x = GROUP) in;
layout(constant_id = 0) const uint kDims = 2;
// In the order of kernels::SampleMode: nearest, linear, cubic.
layout(constant_id = 1) const uint kMode = 1;
// In the order of kernels::SamplePadding: zeros, border, reflection.
layout(constant_id = 2) const uint kPadding = 0;
layout(constant_id = 3) const uint kAlignCorners = 0;
// The sizes of the last kDims dimensions are the last ones of these.
PUSH(uint count; uint channels; uint points; int size_d; int size_h; int size_w;);

// Folds x back into [low, high] at its ends as often as needed.
float reflect_into(float x, float low, float high) {
  const float range = high - low;
  if (range <= 0.0) return low;
  const float away = x < low ? low - x : x > high ? x - high : 0.0;
  if (away == 0.0) return x;
  const float turns = floor(away / range), rest = away - turns * range;
  const bool even = turns - 2.0 * floor(turns / 2.0) == 0.0;
  return even == (x < low) ? low + rest : high - rest;
}

int pixel(int at, int size, float low, float high) {
  if (at >= 0 && at < size) return at;
  if (kPadding == 0) return -1;
  if (kPadding == 1) return clamp(at, 0, size - 1);
  return clamp(int(reflect_into(float(at), low, high)), 0, size - 1);
}

// What a coordinate of the grid reads of its dimension: pixels (below 0 for a zero) and weights.
struct Taps {
  ivec4 index;
  vec4 weight;
};

Taps find_taps(float n, int size) {
  Taps taps;
  taps.index = ivec4(0);
  taps.weight = vec4(1.0, 0.0, 0.0, 0.0);
  const float length = float(size);
  const float low = kAlignCorners == 1 ? 0.0 : -0.5, high = kAlignCorners == 1 ? length - 1.0 : length - 0.5;
  precise float x = kAlignCorners == 1 ? (n + 1.0) / 2.0 * (length - 1.0) : ((n + 1.0) * length - 1.0) / 2.0;
  x = isnan(x) ? -1e9 : clamp(x, -1e9, 1e9);
  if (kMode == 0) x = roundEven(x);
  if (x < low || x > high) {
    // Each of the pixels that a cubic reads is bounded, not the place between them.
    if (kPadding == 1 && kMode != 2) x = clamp(x, 0.0, length - 1.0);
    if (kPadding == 2) x = reflect_into(x, low, high);
  }
  const float base = floor(x), rest = x - base;
  const int first = int(base);
  if (kMode == 0) {
    taps.index.x = pixel(int(x), size, low, high);
  } else if (kMode == 1) {
    for (int k = 0; k < 2; ++k) taps.index[k] = pixel(first + k, size, low, high);
    taps.weight = vec4(1.0 - rest, rest, 0.0, 0.0);
  } else {
    for (int k = 0; k < 4; ++k) taps.index[k] = pixel(first - 1 + k, size, low, high);
    const float a = -0.75, far0 = rest + 1.0, near0 = rest, near1 = 1.0 - rest, far1 = 2.0 - rest;
    taps.weight.x = ((a * far0 - 5.0 * a) * far0 + 8.0 * a) * far0 - 4.0 * a;
    taps.weight.y = ((a + 2.0) * near0 - (a + 3.0)) * near0 * near0 + 1.0;
    taps.weight.z = ((a + 2.0) * near1 - (a + 3.0)) * near1 * near1 + 1.0;
    taps.weight.w = ((a * far1 - 5.0 * a) * far1 + 8.0 * a) * far1 - 4.0 * a;
  }
  return taps;
}

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  Reals source = Reals(ADDRESS(1));
  Reals grid = Reals(ADDRESS(2));
  const uint point = item % push.points, plane = item / push.points, batch = plane / push.channels;
  const uint at = (batch * push.points + point) * kDims;
  // The last coordinate of a point belongs to the first dimension.
  Taps w = find_taps(float(grid.at[at]), push.size_w), h = w, d = w;
  if (kDims >= 2) h = find_taps(float(grid.at[at + 1]), push.size_h);
  if (kDims >= 3) d = find_taps(float(grid.at[at + 2]), push.size_d);
  const int taps = kMode == 0 ? 1 : kMode == 1 ? 2 : 4;
  const uint base = plane * uint(push.size_d * push.size_h * push.size_w);
  float sum = 0.0;
  for (int i = 0; i < (kDims >= 3 ? taps : 1); ++i) {
    const int z = kDims >= 3 ? d.index[i] : 0;
    const float wz = kDims >= 3 ? d.weight[i] : 1.0;
    for (int j = 0; j < (kDims >= 2 ? taps : 1); ++j) {
      const int y = kDims >= 2 ? h.index[j] : 0;
      const float wy = kDims >= 2 ? h.weight[j] : 1.0;
      for (int k = 0; k < taps; ++k) {
        const int x = w.index[k];
        if (z < 0 || y < 0 || x < 0) continue;
        const float value = float(source.at[base + uint((z * push.size_h + y) * push.size_w + x)]);
        sum = kMode == 0 ? value : fma(wz * wy * w.weight[k], value, sum);
      }
    }
  }
  Reals(ADDRESS(0)).at[item] = REAL(sum);
}
