#include <algorithm>
#include <limits>
#include <string>

#include "ops/matmul/matmul.h"

namespace fastort::matmul {

ActivationSpec read_activation(const Attributes& attributes) {
  struct Row {
    const char* name;
    Activation kind;
    float alpha, beta;
  };
  static constexpr Row kRows[] = {
      {"Relu", Activation::Relu, 0, 0},
      {"LeakyRelu", Activation::LeakyRelu, 0.01f, 0},
      {"Clip", Activation::Clip, std::numeric_limits<float>::lowest(), std::numeric_limits<float>::max()},
      {"Sigmoid", Activation::Sigmoid, 0, 0},
      {"Tanh", Activation::Tanh, 0, 0},
      {"HardSigmoid", Activation::HardSigmoid, 0.2f, 0.5f},
      {"HardSwish", Activation::HardSwish, 0, 0},
      {"Silu", Activation::Silu, 0, 0},
      {"Gelu", Activation::Gelu, 0, 0},
      {"GeluTanh", Activation::GeluTanh, 0, 0},
  };
  const std::string name = attributes.get_string("activation", "");
  if (name.empty()) return {};
  for (const Row& row : kRows) {
    if (name != row.name) continue;
    return {row.kind, attributes.get_float("activation_alpha", row.alpha),
            attributes.get_float("activation_beta", row.beta)};
  }
  std::string known;
  for (const Row& row : kRows) known += std::string(known.empty() ? "" : ", ") + row.name;
  not_implemented("the fused activation '" + name + "'; there are " + known);
}

namespace {

// Offsets of the matrices of an operand whose batch dimensions, with these strides, are broadcast to `batch`.
std::vector<int64_t> batch_offsets(const Shape& batch, const Shape& own, const Shape& strides) {
  std::vector<int64_t> offsets(static_cast<size_t>(batch.count()), 0);
  const int lead = batch.rank() - own.rank();
  int64_t inner = 1;
  for (int d = batch.rank() - 1; d >= lead; --d) {
    const size_t o = static_cast<size_t>(d - lead);
    const int64_t size = batch[static_cast<size_t>(d)];
    if (own[o] != 1) {
      for (size_t i = 0; i < offsets.size(); ++i) offsets[i] += static_cast<int64_t>(i) / inner % size * strides[o];
    }
    inner *= size;
  }
  return offsets;
}

// One matrix operand of rank >= 2: batch dimensions with strides, then rows and columns as they lie in memory.
struct Operand {
  Shape batch, batch_strides;
  int64_t rows = 0, cols = 0, row_stride = 0;
};

// `outer_rows`: the rows are the first dimension instead of the last but one (transBatchA of FusedMatMul).
Operand read_operand(const Shape& shape, bool outer_rows) {
  const Shape strides = contiguous_strides(shape);
  const size_t rank = shape.size();
  Operand operand;
  const size_t row = outer_rows ? 0 : rank - 2;
  for (size_t d = 0; d + 1 < rank; ++d) {
    if (d == row) continue;
    operand.batch.push_back(shape[d]);
    operand.batch_strides.push_back(strides[d]);
  }
  operand.rows = shape[row];
  operand.cols = shape[rank - 1];
  operand.row_stride = strides[row];
  return operand;
}

Shape concrete_broadcast(const Shape& a, const Shape& b) {
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  Shape shape = longer;
  const size_t lead = longer.size() - shorter.size();
  for (size_t d = 0; d < shorter.size(); ++d)
    if (shorter[d] != 1) shape[lead + d] = shorter[d];
  return shape;
}

Problem make_problem(Operand a, Operand b, bool trans_a, bool trans_b) {
  Problem problem;
  problem.trans_a = trans_a;
  problem.trans_b = trans_b;
  problem.m = trans_a ? a.cols : a.rows;
  problem.k = trans_a ? a.rows : a.cols;
  problem.n = trans_b ? b.rows : b.cols;
  problem.a_stride = a.row_stride;
  problem.b_stride = b.row_stride;
  // One B for the whole batch: the rows of all items are the rows of one product.
  const bool dense = !trans_a && a.row_stride == a.cols;
  if (b.batch.count() == 1 && dense && a.batch.count() > 1) {
    problem.m *= a.batch.count();
    a.batch = {};
    a.batch_strides = {};
    b.batch = {};
    b.batch_strides = {};
  }
  const Shape batch = concrete_broadcast(a.batch, b.batch);
  problem.a_offsets = batch_offsets(batch, a.batch, a.batch_strides);
  problem.b_offsets = batch_offsets(batch, b.batch, b.batch_strides);
  return problem;
}

Addend addend_of(const OpContext& context, const Shape& shape, int64_t m, int64_t n) {
  const int64_t count = shape.count();
  const int64_t cols = shape.rank() > 0 ? shape[shape.size() - 1] : 1;
  const int64_t rows = shape.rank() > 1 ? shape[shape.size() - 2] : 1;
  if (shape.rank() <= 2 && (cols == n || cols == 1) && (rows == m || rows == 1)) {
    if (count == 1) return Addend::Scalar;
    if (rows == 1) return Addend::PerColumn;
    return cols == 1 ? Addend::PerRow : Addend::Full;
  }
  context.fail("C does not broadcast to the product [" + std::to_string(m) + "," + std::to_string(n) + "]");
}

}  // namespace

Problem plain_problem(const Shape& a_shape, const Shape& b_shape, bool trans_a, bool trans_b) {
  Shape a = a_shape, b = b_shape;
  if (a.rank() == 1) {
    a.insert(0, 1);
    trans_a = false;
  }
  // A vector as [n = 1, k] transposed.
  if (b.rank() == 1) {
    b.insert(0, 1);
    trans_b = true;
  }
  return make_problem(read_operand(a, false), read_operand(b, false), trans_a, trans_b);
}

Problem read_problem(const OpContext& context) {
  const Attributes& attributes = context.attributes();
  const std::string& op = context.node.op_type;
  const bool trans_a = attributes.get_int("transA", 0) != 0, trans_b = attributes.get_int("transB", 0) != 0;
  const Shape &a = context.shape(0), &b = context.shape(1);
  Problem problem;
  if (attributes.get_int("transBatchA", 0) != 0 || attributes.get_int("transBatchB", 0) != 0) {
    problem = make_problem(read_operand(a, attributes.get_int("transBatchA", 0) != 0),
                           read_operand(b, attributes.get_int("transBatchB", 0) != 0), trans_a, trans_b);
  } else {
    problem = plain_problem(a, b, trans_a, trans_b);
  }
  problem.alpha = attributes.get_float("alpha", 1);
  problem.activation = read_activation(attributes);
  if (op == "Gemm" || op == "FusedGemm") {
    problem.beta = attributes.get_float("beta", 1);
    if (context.has_input(2) && problem.beta != 0) {
      problem.bias = 2;
      problem.addend = addend_of(context, context.shape(2), problem.m, problem.n);
    }
  } else if (op == "MatMulEpilogue") {
    if (context.has_input(2)) {
      problem.bias = 2;
      problem.addend = Addend::PerColumn;
    }
    if (context.has_input(3)) problem.residual = 3;
  }
  return problem;
}

Shape product_shape(const InferContext& context, Shape a, Shape b, bool trans_a, bool trans_b) {
  if (a.rank() == 0 || b.rank() == 0) context.fail("A and B must have at least one dimension");
  const bool vector_a = a.rank() == 1, vector_b = b.rank() == 1;
  if (vector_a) a.insert(0, 1);
  if (vector_b) b.insert(1, 1);
  const size_t ra = a.size(), rb = b.size();
  const bool ta = trans_a && !vector_a, tb = trans_b && !vector_b;
  const Dim m = a[ta ? ra - 1 : ra - 2], k = a[ta ? ra - 2 : ra - 1];
  const Dim other_k = b[tb ? rb - 1 : rb - 2], n = b[tb ? rb - 2 : rb - 1];
  if (is_known(k) && is_known(other_k) && k != other_k)
    context.fail("the inner dimensions differ: " + std::to_string(k) + " of A and " + std::to_string(other_k) +
                 " of B");
  a.resize(ra - 2);
  b.resize(rb - 2);
  Shape shape = broadcast_shapes(context, a, b);
  if (!vector_a) shape.push_back(m);
  if (!vector_b) shape.push_back(n);
  return shape;
}

}  // namespace fastort::matmul
