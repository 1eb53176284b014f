// Convolution over one or two spatial dimensions, float32, N C H W, with groups, strides, dilations and pads; bias,
// residual and activation behind it. A group of invocations makes ROWS output channels of 64 COLUMNS output pixels; the
// channels depend on the group alone, so that weights are read once for all lanes.
// operands: Y, X, W, bias, residual
// variant wide: -DROWS=8 -DCOLUMNS=4
// variant narrow: -DROWS=8 -DCOLUMNS=1
// variant depthwise: -DROWS=1 -DCOLUMNS=4
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"
#include "common/epilogue.glsl"

layout(local_size_x = GROUP) in;
// The window, so that the compiler can unroll it: height, width.
layout(constant_id = 3) const uint kHeight = 1;
layout(constant_id = 4) const uint kWidth = 1;

// Channels of one group of channels; sizes of the maps.
PUSH(uint in_group; uint out_group; uint groups; uint in_h; uint in_w; uint out_h; uint out_w; uint stride_h;
     uint stride_w; uint dilation_h; uint dilation_w; uint pad_top; uint pad_left; uint row_blocks; float act_a;
     float act_b;);

void main() {
  const uint pixels = push.out_h * push.out_w, in_pixels = push.in_h * push.in_w;
  const uint group = gl_WorkGroupID.y / push.row_blocks;
  const uint row0 = gl_WorkGroupID.y % push.row_blocks * ROWS;
  const uint pixel0 = gl_WorkGroupID.x * GROUP * COLUMNS + gl_LocalInvocationID.x;
  if (pixel0 >= pixels) return;
  Reals x = Reals(ADDRESS(1));
  Reals w = Reals(ADDRESS(2));
  const uint taps = kHeight * kWidth, row_weights = push.in_group * taps;
  const uint x0 = (gl_WorkGroupID.z * push.groups + group) * push.in_group * in_pixels;
  const uint channel0 = group * push.out_group + row0;
  uint rows[ROWS];
  // What lies outside reads the last channel or pixel, and is not written.
  [[unroll]] for (uint i = 0; i < ROWS; ++i)
    rows[i] = (group * push.out_group + min(row0 + i, push.out_group - 1)) * row_weights;
  int top[COLUMNS], left[COLUMNS];
  [[unroll]] for (uint j = 0; j < COLUMNS; ++j) {
    const uint pixel = min(pixel0 + GROUP * j, pixels - 1);
    top[j] = int(pixel / push.out_w * push.stride_h) - int(push.pad_top);
    left[j] = int(pixel % push.out_w * push.stride_w) - int(push.pad_left);
  }
  float sums[ROWS][COLUMNS];
  [[unroll]] for (uint i = 0; i < ROWS; ++i)
    [[unroll]] for (uint j = 0; j < COLUMNS; ++j) sums[i][j] = 0.0;
  // The window outside: where a tap meets the map is found once for all channels.
  for (uint r = 0; r < kHeight; ++r) {
    for (uint s = 0; s < kWidth; ++s) {
      uint at[COLUMNS];
      bool inside[COLUMNS];
      [[unroll]] for (uint j = 0; j < COLUMNS; ++j) {
        const int y = top[j] + int(r * push.dilation_h), z = left[j] + int(s * push.dilation_w);
        inside[j] = y >= 0 && y < int(push.in_h) && z >= 0 && z < int(push.in_w);
        at[j] = x0 + (inside[j] ? uint(y) * push.in_w + uint(z) : 0);
      }
      const uint tap = r * kWidth + s;
      for (uint c = 0; c < push.in_group; ++c) {
        float xv[COLUMNS];
        [[unroll]] for (uint j = 0; j < COLUMNS; ++j) {
          const float value = float(x.at[at[j] + c * in_pixels]);
          xv[j] = inside[j] ? value : 0.0;
        }
        [[unroll]] for (uint i = 0; i < ROWS; ++i) {
          const float wv = float(w.at[rows[i] + c * taps + tap]);
          [[unroll]] for (uint j = 0; j < COLUMNS; ++j) sums[i][j] = fma(wv, xv[j], sums[i][j]);
        }
      }
    }
  }
  const uint y0 = gl_WorkGroupID.z * push.groups * push.out_group;
  [[unroll]] for (uint i = 0; i < ROWS; ++i) {
    if (row0 + i >= push.out_group) break;
    [[unroll]] for (uint j = 0; j < COLUMNS; ++j) {
      const uint pixel = pixel0 + GROUP * j;
      if (pixel >= pixels) continue;
      const uint element = (y0 + channel0 + i) * pixels + pixel;
      Reals(ADDRESS(0)).at[element] = REAL(epilogue(sums[i][j], Reals(ADDRESS(3)), channel0 + i, pixel, element,
                                                     Reals(ADDRESS(4)), 1.0, 1.0, push.act_a, push.act_b));
    }
  }
}
