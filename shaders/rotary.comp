// RotaryEmbedding of heads: an invocation makes one element. Heads may lie in any order; rows of the caches follow the
// tokens, or are named by positions.
// operands: Y, X, cosines, sines, positions (int64)
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"

layout(local_size_x = GROUP) in;
layout(constant_id = 0) const uint kInterleaved = 0;
// 0 none, 1 one for each row of the caches, 2 the first token's.
layout(constant_id = 1) const uint kPositions = 0;
// The rows of the caches, or the positions, are the same for every sequence.
layout(constant_id = 2) const uint kOneBatch = 0;
PUSH(uint count; uint tokens; uint heads; uint size; uint rotated; uint batch_stride; uint token_stride;
     uint head_stride; uint cache_rows;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  Reals x = Reals(ADDRESS(1));
  const uint i = item % push.size, head = item / push.size % push.heads;
  const uint token = item / (push.size * push.heads) % push.tokens, batch = item / (push.size * push.heads * push.tokens);
  const uint base = batch * push.batch_stride + token * push.token_stride + head * push.head_stride;
  float y = float(x.at[base + i]);
  if (i < push.rotated) {
    const uint half_size = push.rotated / 2;
    uint row = kOneBatch == 1 ? token : batch * push.tokens + token;
    if (kPositions != 0) {
      const uvec2 position = Pairs(ADDRESS(4)).at[kPositions == 2 ? 0 : row];
      row = position.x + (kPositions == 2 ? token : 0);
      if (position.y != 0 || position.x >= push.cache_rows || row >= push.cache_rows) {
        REPORT();
        return;
      }
    }
    const bool second = kInterleaved == 1 ? i % 2 == 1 : i >= half_size;
    const uint pair = kInterleaved == 1 ? i / 2 : second ? i - half_size : i;
    const uint other = kInterleaved == 1 ? (second ? i - 1 : i + 1) : second ? i - half_size : i + half_size;
    const float c = float(Reals(ADDRESS(2)).at[row * half_size + pair]);
    const float s = float(Reals(ADDRESS(3)).at[row * half_size + pair]), z = float(x.at[base + other]);
    y = second ? s * z + c * y : c * y - s * z;
  }
  Reals(ADDRESS(0)).at[base + i] = REAL(y);
}
