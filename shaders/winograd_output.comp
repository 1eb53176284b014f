// What follows the 16 products of Winograd's F(2x2, 3x3): Y = A^T m A for each window of a channel, which makes 2 x 2
// pixels, with bias, residual and activation behind it.
// operands: Y, M (16 matrices [channels, windows]), bias, residual
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"
#include "common/epilogue.glsl"

layout(local_size_x = GROUP) in;

PUSH(uint count; uint channels; uint out_h; uint out_w; uint across; uint down; uint windows; float act_a; float act_b;);

void write(uint image, uint channel, uint y, uint z, float sum) {
  if (y >= push.out_h || z >= push.out_w) return;
  const uint pixel = y * push.out_w + z;
  const uint element = (image * push.channels + channel) * push.out_h * push.out_w + pixel;
  Reals(ADDRESS(0)).at[element] = REAL(epilogue(sum, Reals(ADDRESS(2)), channel, pixel, element, Reals(ADDRESS(3)), 1.0,
                                                 1.0, push.act_a, push.act_b));
}

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const uint channel = item / push.windows, window = item % push.windows;
  Reals m = Reals(ADDRESS(1));
  const uint matrix = push.channels * push.windows, from = channel * push.windows + window;
  float rows[2][4];
  [[unroll]] for (int j = 0; j < 4; ++j) {
    const float m0 = float(m.at[j * matrix + from]), m1 = float(m.at[(4 + j) * matrix + from]);
    const float m2 = float(m.at[(8 + j) * matrix + from]), m3 = float(m.at[(12 + j) * matrix + from]);
    rows[0][j] = m0 + m1 + m2;
    rows[1][j] = m1 - m2 - m3;
  }
  const uint per_image = push.across * push.down, image = window / per_image, place = window % per_image;
  const uint y = place / push.across * 2, z = place % push.across * 2;
  [[unroll]] for (int i = 0; i < 2; ++i) {
    write(image, channel, y + i, z, rows[i][0] + rows[i][1] + rows[i][2]);
    write(image, channel, y + i, z + 1, rows[i][1] - rows[i][2] - rows[i][3]);
  }
}
