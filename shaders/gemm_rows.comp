// C = activation(alpha A B + beta addend + residual) for A of one to four rows, which reads B once at the speed of
// memory. A batch along z, the parts of K along y.
// operands: as gemm.comp, sums (see common/gemm.glsl)
// Where steps of k lie side by side in B, a subgroup makes four columns at once; where columns do, an invocation makes
// neighbouring ones, and those below it in the group take other steps of k.
// variant dots: -DDOTS
// variant lines: -DLINES
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"
#include "common/epilogue.glsl"
#include "common/gemm.glsl"
#ifdef DOTS
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#endif

layout(local_size_x_id = 3) in;
layout(constant_id = 3) const uint kInvocations = 128;
layout(constant_id = 4) const uint kRows = 1;
// Columns of a group (dots), or invocations side by side (lines).
layout(constant_id = 5) const uint kAcross = 16;
// 1: the lines of A, of B, begin and end at a multiple of VALUES elements.
layout(constant_id = 6) const uint kVectorA = 0;
layout(constant_id = 7) const uint kVectorB = 0;

// Elements in 16 bytes.
#ifdef FLOAT16
#define VALUES 8
#else
#define VALUES 4
#endif

struct Values {
  float at[VALUES];
};

// Elements side by side that begin at a multiple of VALUES.
Values read_wide(uvec2 address, uint at) {
  const uvec4 words = Quads(address).at[at / VALUES];
  Values values;
  [[unroll]] for (uint i = 0; i < 4; ++i) {
#ifdef FLOAT16
    const vec2 pair = unpackHalf2x16(words[i]);
    values.at[2 * i] = pair.x;
    values.at[2 * i + 1] = pair.y;
#else
    values.at[i] = uintBitsToFloat(words[i]);
#endif
  }
  return values;
}

float a_at(uint row, uint k) { return float(Reals(ADDRESS(1)).at[a_offset + row * push.a_row + k * push.a_step]); }

#ifdef DOTS

const uint kColumns = 4;  // of a subgroup at once

Values read_a(uint row, uint k) {
  if (kVectorA == 1) return read_wide(ADDRESS(1), a_offset + row * push.a_row + k);
  Values values;
  [[unroll]] for (uint i = 0; i < VALUES; ++i) values.at[i] = a_at(row, k + i);
  return values;
}

void columns_from(uint column0) {
  uint lines[kColumns];
  [[unroll]] for (uint j = 0; j < kColumns; ++j) lines[j] = b_offset + min(column0 + j, push.n - 1) * push.b_column;
  float sums[kRows * kColumns];
  [[unroll]] for (uint i = 0; i < kRows * kColumns; ++i) sums[i] = 0.0;
  if (kVectorB == 1) {
    for (uint k = k_begin + gl_SubgroupInvocationID * VALUES; k < k_end; k += gl_SubgroupSize * VALUES) {
      Values b[kColumns];
      [[unroll]] for (uint j = 0; j < kColumns; ++j) b[j] = read_wide(ADDRESS(2), lines[j] + k);
      [[unroll]] for (uint i = 0; i < kRows; ++i) {
        const Values a = read_a(i, k);
        [[unroll]] for (uint j = 0; j < kColumns; ++j)
          [[unroll]] for (uint v = 0; v < VALUES; ++v)
            sums[i * kColumns + j] = fma(a.at[v], b[j].at[v], sums[i * kColumns + j]);
      }
    }
  } else {
    for (uint k = k_begin + gl_SubgroupInvocationID; k < k_end; k += gl_SubgroupSize) {
      float b[kColumns];
      [[unroll]] for (uint j = 0; j < kColumns; ++j) b[j] = float(Reals(ADDRESS(2)).at[lines[j] + k * push.b_step]);
      [[unroll]] for (uint i = 0; i < kRows; ++i) {
        const float a = a_at(i, k);
        [[unroll]] for (uint j = 0; j < kColumns; ++j)
          sums[i * kColumns + j] = fma(a, b[j], sums[i * kColumns + j]);
      }
    }
  }
  [[unroll]] for (uint i = 0; i < kRows; ++i) {
    [[unroll]] for (uint j = 0; j < kColumns; ++j) {
      const float sum = subgroupAdd(sums[i * kColumns + j]);
      if (gl_SubgroupInvocationID == 0 && column0 + j < push.n) finish_at(i, column0 + j, sum);
    }
  }
}

void main() {
  find_item(gl_WorkGroupID.z, gl_WorkGroupID.y);
  // Whatever the width of a subgroup is.
  for (uint c = gl_SubgroupID * kColumns; c < kAcross; c += gl_NumSubgroups * kColumns) {
    const uint column0 = gl_WorkGroupID.x * kAcross + c;
    if (column0 < push.n) columns_from(column0);
  }
}

#else

const uint kDown = kInvocations / kAcross;
const uint kWidth = kAcross * VALUES;  // columns of a group
const uint kSteps = 4;                 // that are on their way at once

shared float part_sums[kDown * kWidth];

void main() {
  find_item(gl_WorkGroupID.z, gl_WorkGroupID.y);
  const uint x = gl_LocalInvocationID.x % kAcross, y = gl_LocalInvocationID.x / kAcross;
  const uint column0 = gl_WorkGroupID.x * kWidth;
  Reals b_real = Reals(ADDRESS(2));
  uint columns[VALUES];
  [[unroll]] for (uint v = 0; v < VALUES; ++v)
    columns[v] = b_offset + min(column0 + x + v * kAcross, push.n - 1) * push.b_column;
  const uint wide = b_offset + min(column0 + x * VALUES, push.n - VALUES);
  float sums[kRows * VALUES];
  [[unroll]] for (uint i = 0; i < kRows * VALUES; ++i) sums[i] = 0.0;
  for (uint k0 = k_begin + y; k0 < k_end; k0 += kDown * kSteps) {
    Values b[kSteps];
    [[unroll]] for (uint s = 0; s < kSteps; ++s) {
      // What lies behind the end reads the last step, and counts as 0.
      const uint k = min(k0 + s * kDown, k_end - 1);
      if (kVectorB == 1)
        b[s] = read_wide(ADDRESS(2), wide + k * push.b_step);
      else
        [[unroll]] for (uint v = 0; v < VALUES; ++v) b[s].at[v] = float(b_real.at[columns[v] + k * push.b_step]);
    }
    [[unroll]] for (uint s = 0; s < kSteps; ++s) {
      const uint k = k0 + s * kDown;
      if (k >= k_end) break;
      [[unroll]] for (uint i = 0; i < kRows; ++i) {
        const float a = a_at(i, k);
        [[unroll]] for (uint v = 0; v < VALUES; ++v)
          sums[i * VALUES + v] = fma(a, b[s].at[v], sums[i * VALUES + v]);
      }
    }
  }
  [[unroll]] for (uint i = 0; i < kRows; ++i) {
    [[unroll]] for (uint v = 0; v < VALUES; ++v)
      part_sums[y * kWidth + (kVectorB == 1 ? x * VALUES + v : x + v * kAcross)] = sums[i * VALUES + v];
    barrier();
    for (uint column = gl_LocalInvocationID.x; column < kWidth; column += kInvocations) {
      float sum = 0.0;
      for (uint d = 0; d < kDown; ++d) sum += part_sums[d * kWidth + column];
      if (column0 + column < push.n) finish_at(i, column0 + column, sum);
    }
    barrier();
  }
}

#endif
