// What every shader shares: memory by address, the push block's head, and the number of an invocation.
//
// A dispatch finds its operands in the table of addresses, from the entry `push.first` on, in the recipe's order. A
// shader writes `PUSH(uint count; float scale;);` for the fields that its recipe pushes, and reads `push.count`.
#ifndef COMMON_BASE
#define COMMON_BASE

#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_scalar_block_layout : require
#extension GL_EXT_control_flow_attributes : enable

layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Floats {
  float at[];
};
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Words {
  uint at[];
};
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Integers {
  int at[];
};
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer Pairs {
  uvec2 at[];
};
layout(buffer_reference, scalar, buffer_reference_align = 16) buffer Quads {
  uvec4 at[];
};

// Tensors of the type that the shader is compiled for: float32, or float16 where its head has a line "// float16". What
// is computed is float32: `float(x.at[i])` reads, `x.at[i] = REAL(y)` writes.
#ifdef FLOAT16
#extension GL_EXT_shader_16bit_storage : require
layout(buffer_reference, scalar, buffer_reference_align = 2) buffer Reals {
  float16_t at[];
};
#define REAL(x) float16_t(x)
#else
#define Reals Floats
#define REAL(x) (x)
#endif

#define PUSH(fields)                         \
  layout(push_constant) uniform PushBlock { \
    Pairs table;                             \
    uint first;                              \
    uint unused;                             \
    fields                                   \
  }                                          \
  push

#define ADDRESS(i) push.table.at[push.first + (i)]
// Tells the host that data which this dispatch read made no sense, an index out of range say: the run throws.
#define REPORT() push.table.at[0] = uvec2(push.first, 1)

// Groups of kernels without a shape of their own lie along x and, where those are too many, along y.
#define GROUP 64
uint group_number() { return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x; }
uint item_number() { return group_number() * GROUP + gl_LocalInvocationID.x; }

#endif
