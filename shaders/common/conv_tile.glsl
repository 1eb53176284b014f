// The operands of a convolution of one group as a product: weights [channels, in_channels x window] times the columns of
// an unfolded map, which is never made: each element is read where it lies. A column is an output pixel of one image of
// the batch. Has common/tile.glsl or common/matrix.glsl before it.
#ifndef COMMON_CONV_TILE
#define COMMON_CONV_TILE

// 1: rows of weights begin, and end, at a multiple of A's chunks.
layout(constant_id = 14) const uint kVectorA = 0;
// The window.
layout(constant_id = 15) const uint kHeight = 1;
layout(constant_id = 16) const uint kWidth = 1;
// That K is cut into, along z: their sums go, as float32, to a tensor [images, parts, m, pixels] (see sum_parts.comp).
layout(constant_id = 17) const uint kParts = 1;

PUSH(uint m; uint n; uint k; uint in_channels; uint in_h; uint in_w; uint out_h; uint out_w; uint stride_h;
     uint stride_w; uint dilation_h; uint dilation_w; uint pad_top; uint pad_left; uint part_steps; float act_a;
     float act_b;);

A_CHUNK fetch_a(uint line, uint chunk, uint k0) {
  const uint row = gl_WorkGroupID.y * kTileRows + line, first = k0 + A_VALUES * chunk;
  const int count = row < push.m ? int(push.k) - int(first) : 0;
  if (count <= 0) return A_CHUNK(0);
  const uint at = row * push.k + first;
  return kVectorA == 1 ? fetch_vector(ADDRESS(2), at) : FETCH(Reals(ADDRESS(2)), at, 1, count);
}

// Where the window of a column begins: `at` may lie outside, where y or x do.
struct Column {
  uint at;
  int y, x;
};

Column column_of(uint number) {
  const uint pixels = push.out_h * push.out_w, column = gl_WorkGroupID.x * kTileColumns + number;
  // Above every map.
  if (column >= push.n) return Column(0, -(1 << 30), 0);
  const uint image = column / pixels, pixel = column % pixels;
  const int y = int(pixel / push.out_w * push.stride_h) - int(push.pad_top);
  const int x = int(pixel % push.out_w * push.stride_w) - int(push.pad_left);
  return Column(image * push.in_channels * push.in_h * push.in_w + uint(y) * push.in_w + uint(x), y, x);
}

// The element of the unfolded map; what lies outside the map is 0.
FACTOR element_of(Column column, uint k) {
  const uint channel = k / (kHeight * kWidth), tap = k % (kHeight * kWidth);
  const uint dy = tap / kWidth * push.dilation_h, dx = tap % kWidth * push.dilation_w;
  const bool inside = uint(column.y + int(dy)) < push.in_h && uint(column.x + int(dx)) < push.in_w && k < push.k;
  if (!inside) return FACTOR(0.0);
  return FACTOR(Reals(ADDRESS(1)).at[column.at + (channel * push.in_h + dy) * push.in_w + dx]);
}

void finish(uint row_in_tile, uint column_in_tile, float sum) {
  const uint row = gl_WorkGroupID.y * kTileRows + row_in_tile, column = gl_WorkGroupID.x * kTileColumns + column_in_tile;
  if (row >= push.m || column >= push.n) return;
  const uint pixels = push.out_h * push.out_w, image = column / pixels, pixel = column % pixels;
  if (kParts > 1) {
    const uint part = image * kParts + gl_WorkGroupID.z;
    Floats(ADDRESS(5)).at[(part * push.m + row) * pixels + pixel] = sum;
    return;
  }
  const uint element = (image * push.m + row) * pixels + pixel;
  Reals(ADDRESS(0)).at[element] = REAL(epilogue(sum, Reals(ADDRESS(3)), row, pixel, element, Reals(ADDRESS(4)), 1.0,
                                                 1.0, push.act_a, push.act_b));
}

void multiply_part() {
  const uint begin = gl_WorkGroupID.z * push.part_steps;
  multiply(begin, kParts > 1 ? min(begin + push.part_steps, push.k) : push.k);
}

#endif
