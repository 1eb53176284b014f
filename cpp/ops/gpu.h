#pragma once

#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ops/op.h"

// How an operator runs on a GPU, as data: which shaders, with which constants, over which memory. Nothing here names a
// graphics interface, so that cpp/ops builds without one.
namespace fastort {

// The shape of cooperative matrices: C [m, n] += A [m, k] B [k, n] of float16 in float32, by a subgroup.
struct GpuMatrices {
  uint32_t m = 0, n = 0, k = 0;
};

// What a recipe may ask of the device.
struct GpuTraits {
  std::array<uint32_t, 3> max_groups{65535, 65535, 65535};  // work groups along each axis of a dispatch
  uint32_t max_invocations = 128;                           // of one work group
  uint32_t shared_bytes = 16384;
  uint32_t subgroup = 32;
  bool storage8 = false;              // shaders may read and write single bytes
  bool storage16 = false;             // and 16-bit numbers
  bool arithmetic16 = false;          // products may multiply in float16 (the user's wish, and the device can)
  bool int64 = false;                 // shaders may compute with 64-bit integers
  bool float64 = false;               // and with double
  bool subgroup_sums = false;         // a subgroup adds up
  std::vector<GpuMatrices> matrices;  // that it multiplies, the largest first
  bool matrix_elements = false;       // an invocation may look at the elements of a matrix that it holds
  uint32_t cores = 0;                 // that work on groups side by side; 0 where the driver does not tell
  enum class Choice : uint8_t { ByRule, Never, Always };
  Choice winograd = Choice::ByRule;
  Choice few_rows = Choice::ByRule;  // products of up to four rows by a kernel of their own
  int parts = 0;                     // that products cut K into; 0 by rule
  bool halves = false;               // the tensors will be float16, whatever their types say
  int tile = -1;                     // 0 large, 1 medium, 2 small; -1 by rule
  bool slow_shared = false;  // work-group memory and barriers cost more than reading again (implementations on a CPU)
};

// Memory that a shader sees through the table of addresses.
struct GpuOperand {
  enum class Kind : uint8_t { None, Input, Output, Scratch, Constant };
  Kind kind = Kind::None;
  int index = 0;
  bool written = false;
};

// The push block of a dispatch behind its fixed head: words in the order of the shader's fields.
class GpuPush {
 public:
  static constexpr size_t kMaxWords = 28;
  GpuPush& u32(int64_t value);  // throws Error(Fail) where it does not fit
  GpuPush& i32(int64_t value);
  GpuPush& f32(float value);
  const std::vector<uint32_t>& words() const { return words_; }

 private:
  std::vector<uint32_t> words_;
};

// One dispatch. The shader finds its operands in this order in the table of addresses.
struct GpuDispatch {
  std::string_view shader;          // a file of shaders/ with its variant, as in "elementwise.4"
  std::vector<uint32_t> constants;  // specialization constants from number 0 on
  std::vector<GpuOperand> operands;
  GpuPush push;
  std::array<uint32_t, 3> groups{1, 1, 1};
  // The shader's form for float16 tensors: its head has a line "// float16".
  bool half = false;
  // Multiplications and additions, where they are more than a few for each byte: what long work is cut by.
  double flops = 0;
};

// Bytes that shaders read, the same for every run: tables, or weights in another form. `source` and `format` name what
// they are made of, so that equal ones are held once; without a source they belong to this node.
struct GpuConstant {
  size_t bytes = 0;
  std::function<void(std::byte*)> fill;
  const Tensor* source = nullptr;
  std::string format;
  bool words = false;
};

// All that a node asks of the GPU, in order.
class GpuWork {
 public:
  static GpuOperand input(int i) { return {GpuOperand::Kind::Input, i, false}; }
  static GpuOperand output(int i) { return {GpuOperand::Kind::Output, i, true}; }
  // An input that may be left out still takes its place among the operands.
  static GpuOperand none() { return {}; }
  // Memory for the length of the node's dispatches.
  GpuOperand scratch(size_t bytes);
  static GpuOperand written(GpuOperand operand) {
    operand.written = true;
    return operand;
  }
  GpuOperand table(std::vector<uint32_t> words);
  GpuOperand constant(GpuConstant constant);
  GpuDispatch& dispatch(std::string_view shader);
  // Whether all constants are tables of words, which mean the same whatever type the tensors have.
  bool constants_are_words() const;

  std::vector<GpuDispatch> dispatches;
  std::vector<size_t> scratch_bytes;
  std::vector<GpuConstant> constants;
};

// Describes the work of a node with concrete, plain inputs and outputs, or says why the GPU does not take it. Nothing
// is dispatched for an empty output: it is not asked for.
using GpuFn = Refusal (*)(const OpContext&, const GpuTraits&, GpuWork&);

struct GpuRecipe {
  TypeMask types;  // of the first input; others are the function's to check
  GpuFn work;
  bool takes_empty = false;  // the function is asked for nodes with an empty input too
};

// Groups of `size` invocations that cover `count` of them, along x and, beyond the device's limit, along y: the shader
// counts with both. Throws Error(Fail) where even that is too little.
std::array<uint32_t, 3> groups_for(int64_t count, uint32_t size, const GpuTraits& traits);

}  // namespace fastort
