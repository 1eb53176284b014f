// Winograd's transform F(2x2, 3x3) of maps: V = B^T d B for each 4 x 4 window of a channel, the 16 elements of which go
// to 16 matrices [channels, windows]. An invocation makes one window; neighbours make windows side by side.
// operands: V, X
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"

layout(local_size_x = GROUP) in;

// Windows of one image across and down, of all images; what lies outside the map is 0.
PUSH(uint count; uint channels; uint in_h; uint in_w; uint across; uint down; uint windows; uint pad_top; uint pad_left;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const uint channel = item / push.windows, window = item % push.windows;
  const uint per_image = push.across * push.down, image = window / per_image, place = window % per_image;
  const int top = int(place / push.across * 2) - int(push.pad_top);
  const int left = int(place % push.across * 2) - int(push.pad_left);
  Reals x = Reals(ADDRESS(1));
  const uint plane = (image * push.channels + channel) * push.in_h * push.in_w;
  float d[4][4];
  [[unroll]] for (int i = 0; i < 4; ++i) {
    [[unroll]] for (int j = 0; j < 4; ++j) {
      const uint y = uint(top + i), z = uint(left + j);
      d[i][j] = y < push.in_h && z < push.in_w ? float(x.at[plane + y * push.in_w + z]) : 0.0;
    }
  }
  float rows[4][4];
  [[unroll]] for (int j = 0; j < 4; ++j) {
    rows[0][j] = d[0][j] - d[2][j];
    rows[1][j] = d[1][j] + d[2][j];
    rows[2][j] = d[2][j] - d[1][j];
    rows[3][j] = d[1][j] - d[3][j];
  }
  Reals v = Reals(ADDRESS(0));
  const uint matrix = push.channels * push.windows, to = channel * push.windows + window;
  [[unroll]] for (int i = 0; i < 4; ++i) {
    v.at[(4 * i + 0) * matrix + to] = REAL(rows[i][0] - rows[i][2]);
    v.at[(4 * i + 1) * matrix + to] = REAL(rows[i][1] + rows[i][2]);
    v.at[(4 * i + 2) * matrix + to] = REAL(rows[i][2] - rows[i][1]);
    v.at[(4 * i + 3) * matrix + to] = REAL(rows[i][1] - rows[i][3]);
  }
}
