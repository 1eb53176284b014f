// What the loops over tiles share (common/tile.glsl, common/matrix.glsl): chunks of A and B on their way from memory while
// the tile before them is computed with. The loop defines kInvocations, and of each factor the type of a chunk (A_CHUNK,
// B_CHUNK), the chunks of a line (kChunksA, kChunksB) and of a tile (kCountA, kCountB).
//
// The shader defines the functions
//   A_CHUNK fetch_a(uint line, uint chunk, uint k0);
//   B_CHUNK fetch_b(uint line, uint chunk, uint k0);
//   void finish(uint row, uint column, float sum);    takes an element of the tile
// What lies outside of the factors is fetched as 0.
#ifndef COMMON_FETCHES
#define COMMON_FETCHES

A_CHUNK fetch_a(uint line, uint chunk, uint k0);
B_CHUNK fetch_b(uint line, uint chunk, uint k0);
void finish(uint row, uint column, float sum);

const uint kFetchesA = (kCountA + kInvocations - 1) / kInvocations;
const uint kFetchesB = (kCountB + kInvocations - 1) / kInvocations;

// Whether fetch number t, the i-th of its invocation, is one of `count`: known beforehand where all of a turn are.
#define THERE(i, t, count) ((i + 1) * kInvocations <= (count) || t < (count))

A_CHUNK a_next[kFetchesA];
B_CHUNK b_next[kFetchesB];

void fetch(uint k0) {
  [[unroll]] for (uint i = 0; i < kFetchesA; ++i) {
    const uint t = gl_LocalInvocationID.x + i * kInvocations;
    if (THERE(i, t, kCountA)) a_next[i] = fetch_a(t / kChunksA, t % kChunksA, k0);
  }
  [[unroll]] for (uint i = 0; i < kFetchesB; ++i) {
    const uint t = gl_LocalInvocationID.x + i * kInvocations;
    if (THERE(i, t, kCountB)) b_next[i] = fetch_b(t / kChunksB, t % kChunksB, k0);
  }
}

#endif
