// Reductions of integers and of double over one run of dimensions, as shaders/reduce.comp has them for float32.
// operands: result, source
// variant i8: -DT_I8
// variant u8: -DT_U8
// variant i16: -DT_I16
// variant u16: -DT_U16
// variant i32: -DT_I32
// variant u32: -DT_U32
// variant i64: -DT_I64
// variant u64: -DT_U64
// variant f64: -DT_F64
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/rows.glsl"
#include "common/typed.glsl"

layout(local_size_x = GROUP) in;
// In the order of kernels::ReduceOp, of which LogSum and LogSumExp are not here.
layout(constant_id = 1) const uint kOp = 0;
PUSH(uint rows; uint n; uint inner;);

const uint kSum = 0, kMean = 1, kMax = 2, kMin = 3, kProd = 4, kL1 = 5, kL2 = 6, kSumSquare = 9;

shared NUMBER partial[GROUP];

NUMBER joined(NUMBER x, NUMBER y) {
  return kOp == kMax ? larger_of(x, y) : kOp == kMin ? smaller_of(x, y) : kOp == kProd ? x * y : x + y;
}

void main() {
  Elements source = Elements(ADDRESS(1));
  Row row = row_of(push.rows, push.n, push.inner);
  NUMBER result = kOp == kMax ? LOWEST : kOp == kMin ? HIGHEST : NUMBER(kOp == kProd ? 1 : 0);
  for (uint i = row.first; i < push.n; i += row.next) {
    NUMBER x = NUMBER(source.at[row.base + i * row.step]);
    if (kOp == kL1) x = magnitude(x);
    if (kOp == kL2 || kOp == kSumSquare) x *= x;
    result = joined(x, result);
  }
  if (kDense == 1) {
    const uint lane = gl_LocalInvocationID.x;
    partial[lane] = result;
    barrier();
    for (uint width = GROUP / 2; width > 0; width /= 2) {
      if (lane < width) partial[lane] = joined(partial[lane], partial[lane + width]);
      barrier();
    }
    result = partial[0];
  }
#ifdef FLOATING
  if (kOp == kMean) result /= NUMBER(push.n);
  if (kOp == kL2) result = sqrt(result);
#else
  if (kOp == kMean && push.n != 0) result /= NUMBER(push.n);
#endif
  if (writes(row)) Elements(ADDRESS(0)).at[row_number()] = ELEMENT(result);
}
