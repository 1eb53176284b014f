// Heads with a bias for each item of each head: [batch, heads, rows, size] in any order in memory, made dense.
// operands: result, source, bias
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"

layout(local_size_x = GROUP) in;
PUSH(uint count; uint heads; uint rows; uint size; uint offset; uint batch_step; uint head_step; uint row_step;
     uint item_step; uint bias_at;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const uint i = item % push.size, row = item / push.size % push.rows;
  const uint head = item / (push.size * push.rows) % push.heads, batch = item / (push.size * push.rows * push.heads);
  const uint from = push.offset + batch * push.batch_step + head * push.head_step + row * push.row_step +
                    i * push.item_step;
  const float bias = float(Reals(ADDRESS(2)).at[push.bias_at + head * push.size + i]);
  Reals(ADDRESS(0)).at[item] = REAL(float(Reals(ADDRESS(1)).at[from]) + bias);
}
