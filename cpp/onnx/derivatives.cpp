#include "onnx/derivatives.h"

#include <cmath>
#include <numbers>

#include "base/error.h"

namespace fastort {

ValueId Derivative::dy(int i) {
  ValueId& id = dys_[static_cast<size_t>(i)];
  if (id == kNoValue) id = expand_like(number(0, out(i)), out(i));
  return id;
}

ValueId Derivative::reshape_like(ValueId id, ValueId like) {
  return op("Reshape", {id, shape_of(like)}, {{"allowzero", int64_t{1}}});
}

ValueId Derivative::sum_like(ValueId id, ValueId like) {
  const ValueFacts from = lift_.builder().facts(id), to = lift_.builder().facts(like);
  if (from.type.has_shape && to.type.has_shape && from.type.shape == to.type.shape) return id;
  // Seen from the back, a dimension of 1 was repeated, and so was each one that `like` lacks.
  const ValueId shape = shape_of(like);
  const ValueId lacking = op("Sub", {shape_of(shape_of(id)), shape_of(shape)});
  const ValueId ones = op("ConstantOfShape", {lacking}, {{"value", Tensor::vector<int64_t>(std::vector<int64_t>{1})}});
  const ValueId padded = op("Concat", {ones, shape}, {{"axis", int64_t{0}}});
  const ValueId repeated = op("NonZero", {op("Equal", {padded, ints({1})})});
  const ValueId axes = op("Reshape", {repeated, ints({-1})});
  const ValueId sum = op("ReduceSum", {id, axes}, {{"keepdims", int64_t{1}}, {"noop_with_empty_axes", int64_t{1}}});
  return op("Reshape", {sum, shape}, {{"allowzero", int64_t{1}}});
}

std::vector<ValueId> Derivative::split(ValueId id, ValueId sizes, int64_t axis, size_t count) {
  std::vector<ValueId> outputs;
  for (size_t i = 0; i < count; ++i) outputs.push_back(lift_.fresh());
  Node made = lift_.make("Split", {id, sizes}, outputs);
  made.attributes.set("axis", axis);
  lift_.append(std::move(made));
  return outputs;
}

int Derivative::rank(ValueId id) {
  const int result = lift_.rank(id);
  if (result < 0) unsupported("its derivative needs to know the rank of its inputs");
  return result;
}

void Derivative::unsupported(const std::string& why) const { lift_.unsupported(describe(node) + ": " + why); }

namespace {

// ---- elementwise functions of one input ----------------------------------------------------------------------------

void give_product(Derivative& d, ValueId slope) { d.give(0, d.mul(d.dy(), slope)); }
// 1 + factor * a * a.
ValueId one_plus_square(Derivative& d, ValueId a, float factor) {
  const ValueId square = d.mul(a, a);
  return d.add(d.number(1, a), factor == 1 ? square : d.mul(square, d.number(factor, a)));
}
// dy where the input is positive, elsewhere `other`.
void give_where_positive(Derivative& d, ValueId other) {
  d.give(0, d.op("Where", {d.op("Greater", {d.in(0), d.number(0, d.in(0))}), d.dy(), other}));
}

void identity(Derivative& d) { d.give(0, d.dy()); }
void negative(Derivative& d) { d.give(0, d.neg(d.dy())); }
void absolute(Derivative& d) { give_product(d, d.op("Sign", {d.in(0)})); }
void step(Derivative& d) { give_product(d, d.number(0, d.in(0))); }
void exponential(Derivative& d) { give_product(d, d.out()); }
void logarithm(Derivative& d) { d.give(0, d.div(d.dy(), d.in(0))); }
void square_root(Derivative& d) { d.give(0, d.div(d.dy(), d.add(d.out(), d.out()))); }
void reciprocal(Derivative& d) { give_product(d, d.neg(d.mul(d.out(), d.out()))); }
void sine(Derivative& d) { give_product(d, d.op("Cos", {d.in(0)})); }
void cosine(Derivative& d) { give_product(d, d.neg(d.op("Sin", {d.in(0)}))); }
void tangent(Derivative& d) { give_product(d, one_plus_square(d, d.out(), 1)); }
void sinh(Derivative& d) { give_product(d, d.op("Cosh", {d.in(0)})); }
void cosh(Derivative& d) { give_product(d, d.op("Sinh", {d.in(0)})); }
void tanh(Derivative& d) { give_product(d, one_plus_square(d, d.out(), -1)); }
void asin(Derivative& d) { d.give(0, d.div(d.dy(), d.op("Sqrt", {one_plus_square(d, d.in(0), -1)}))); }
void acos(Derivative& d) { d.give(0, d.neg(d.div(d.dy(), d.op("Sqrt", {one_plus_square(d, d.in(0), -1)})))); }
void atan(Derivative& d) { d.give(0, d.div(d.dy(), one_plus_square(d, d.in(0), 1))); }
void asinh(Derivative& d) { d.give(0, d.div(d.dy(), d.op("Sqrt", {one_plus_square(d, d.in(0), 1)}))); }
void acosh(Derivative& d) {
  const ValueId x = d.in(0);
  d.give(0, d.div(d.dy(), d.op("Sqrt", {d.sub(d.mul(x, x), d.number(1, x))})));
}
void atanh(Derivative& d) { d.give(0, d.div(d.dy(), one_plus_square(d, d.in(0), -1))); }
void relu(Derivative& d) { give_where_positive(d, d.number(0, d.in(0))); }
void leaky_relu(Derivative& d) {
  const float alpha = d.node.attributes.get_float("alpha", 0.01f);
  give_where_positive(d, d.mul(d.dy(), d.number(alpha, d.in(0))));
}
void elu(Derivative& d) {
  const float alpha = d.node.attributes.get_float("alpha", 1);
  give_where_positive(d, d.mul(d.dy(), d.add(d.out(), d.number(alpha, d.in(0)))));
}
void sigmoid(Derivative& d) { give_product(d, d.mul(d.out(), d.sub(d.number(1, d.out()), d.out()))); }
void softplus(Derivative& d) { give_product(d, d.op("Sigmoid", {d.in(0)})); }
// The density of the normal distribution times `factor`, with the exponent `power` * x * x.
ValueId bell(Derivative& d, float factor, float power) {
  const ValueId x = d.in(0);
  return d.mul(d.number(factor, x), d.op("Exp", {d.mul(d.mul(x, x), d.number(power, x))}));
}
void erf(Derivative& d) { give_product(d, bell(d, 2 * std::numbers::inv_sqrtpi_v<float>, -1)); }
void gelu(Derivative& d) {
  if (d.node.attributes.get_string("approximate", "none") != "none")
    d.unsupported("the derivative of the approximation by tanh is not supported");
  const ValueId x = d.in(0), half = d.number(0.5f, x);
  const ValueId below = d.op("Erf", {d.mul(x, d.number(std::numbers::sqrt2_v<float> / 2, x))});
  const ValueId share = d.add(half, d.mul(half, below));
  const float density = std::numbers::inv_sqrtpi_v<float> * std::numbers::sqrt2_v<float> / 2;
  give_product(d, d.add(share, d.mul(x, bell(d, density, -0.5f))));
}
void cast(Derivative& d) { d.give(0, d.op("CastLike", {d.dy(), d.in(0)})); }

// The input passes where it is within the bounds.
void clip(Derivative& d) {
  if (d.wants(1) || d.wants(2)) d.unsupported("the derivative by its bounds is not supported");
  ValueId dx = d.dy();
  const ValueId x = d.in(0), zero = d.number(0, x);
  if (d.in(1) != kNoValue) dx = d.op("Where", {d.op("GreaterOrEqual", {x, d.in(1)}), dx, zero});
  if (d.in(2) != kNoValue) dx = d.op("Where", {d.op("LessOrEqual", {x, d.in(2)}), dx, zero});
  d.give(0, dx);
}

// ---- elementwise functions of several inputs -----------------------------------------------------------------------

void sum(Derivative& d) {
  for (int i = 0; i < d.node.num_inputs(); ++i)
    if (d.wants(i)) d.give_summed(i, d.dy());
}
void difference(Derivative& d) {
  if (d.wants(0)) d.give_summed(0, d.dy());
  if (d.wants(1)) d.give_summed(1, d.neg(d.dy()));
}
void product(Derivative& d) {
  if (d.wants(0)) d.give_summed(0, d.mul(d.dy(), d.in(1)));
  if (d.wants(1)) d.give_summed(1, d.mul(d.dy(), d.in(0)));
}
void quotient(Derivative& d) {
  const ValueId share = d.div(d.dy(), d.in(1));
  if (d.wants(0)) d.give_summed(0, share);
  if (d.wants(1)) d.give_summed(1, d.neg(d.mul(share, d.out())));
}
void power(Derivative& d) {
  const ValueId base = d.in(0), exponent = d.in(1);
  if (d.wants(0)) {
    const ValueId less = d.sub(exponent, d.number(1, exponent));
    const ValueId slope = d.mul(d.op("CastLike", {exponent, base}), d.op("Pow", {base, less}));
    d.give_summed(0, d.mul(d.dy(), slope));
  }
  if (d.wants(1)) {
    // Where the base is 0 the power does not change with the exponent.
    const ValueId zero = d.number(0, base);
    const ValueId slope = d.op("Where", {d.op("Equal", {base, zero}), zero, d.mul(d.out(), d.op("Log", {base}))});
    d.give_summed(1, d.op("CastLike", {d.mul(d.dy(), slope), exponent}));
  }
}
void choice(Derivative& d) {
  const ValueId zero = d.number(0, d.out());
  if (d.wants(1)) d.give_summed(1, d.op("Where", {d.in(0), d.dy(), zero}));
  if (d.wants(2)) d.give_summed(2, d.op("Where", {d.in(0), zero, d.dy()}));
}

// ---- products of matrices ------------------------------------------------------------------------------------------

ValueId swap_last_two(Derivative& d, ValueId id, int rank) {
  std::vector<int64_t> order(static_cast<size_t>(rank));
  for (int i = 0; i < rank; ++i) order[static_cast<size_t>(i)] = i;
  std::swap(order[static_cast<size_t>(rank - 1)], order[static_cast<size_t>(rank - 2)]);
  return d.op("Transpose", {id}, {{"perm", order}});
}

void matmul(Derivative& d) {
  const bool row = d.rank(d.in(0)) == 1, column = d.rank(d.in(1)) == 1;
  const ValueId a = row ? d.op("Unsqueeze", {d.in(0), d.ints({0})}) : d.in(0);
  const ValueId b = column ? d.op("Unsqueeze", {d.in(1), d.ints({1})}) : d.in(1);
  ValueId dy = d.dy();
  if (column) dy = d.op("Unsqueeze", {dy, d.ints({-1})});
  if (row) dy = d.op("Unsqueeze", {dy, d.ints({-2})});
  if (d.wants(0)) {
    const ValueId da = d.sum_like(d.op("MatMul", {dy, swap_last_two(d, b, column ? 2 : d.rank(d.in(1)))}), a);
    d.give(0, row ? d.reshape_like(da, d.in(0)) : da);
  }
  if (d.wants(1)) {
    const ValueId db = d.sum_like(d.op("MatMul", {swap_last_two(d, a, row ? 2 : d.rank(d.in(0))), dy}), b);
    d.give(1, column ? d.reshape_like(db, d.in(1)) : db);
  }
}

void gemm(Derivative& d) {
  const Attributes& attributes = d.node.attributes;
  const float alpha = attributes.get_float("alpha", 1), beta = attributes.get_float("beta", 1);
  const bool ta = attributes.get_int("transA", 0) != 0, tb = attributes.get_int("transB", 0) != 0;
  const auto times = [&](ValueId left, ValueId right, bool transpose_left, bool transpose_right) {
    return d.op("Gemm", {left, right},
                {{"alpha", alpha}, {"transA", int64_t{transpose_left}}, {"transB", int64_t{transpose_right}}});
  };
  if (d.wants(0)) d.give(0, ta ? times(d.in(1), d.dy(), tb, true) : times(d.dy(), d.in(1), false, !tb));
  if (d.wants(1)) d.give(1, tb ? times(d.dy(), d.in(0), true, ta) : times(d.in(0), d.dy(), !ta, false));
  if (d.wants(2)) d.give_summed(2, beta == 1 ? d.dy() : d.mul(d.dy(), d.number(beta, d.in(2))));
}

// ---- sums and softmax ----------------------------------------------------------------------------------------------

// dy with the dimensions that a reduction dropped, repeated over them.
ValueId spread(Derivative& d) {
  ValueId dy = d.dy();
  if (d.node.attributes.get_int("keepdims", 1) == 0 && d.in(1) != kNoValue) dy = d.op("Unsqueeze", {dy, d.in(1)});
  return d.expand_like(dy, d.in(0));
}
void reduce_sum(Derivative& d) { d.give(0, spread(d)); }
void reduce_mean(Derivative& d) {
  const ValueId results = d.op("CastLike", {d.op("Size", {d.out()}), d.dy()});
  const ValueId items = d.op("CastLike", {d.op("Size", {d.in(0)}), d.dy()});
  d.give(0, d.mul(spread(d), d.div(results, items)));
}

ValueId sum_over(Derivative& d, ValueId id, int64_t axis) {
  return d.op("ReduceSum", {id, d.ints({axis})}, {{"keepdims", int64_t{1}}});
}
void softmax(Derivative& d) {
  const int64_t axis = d.node.attributes.get_int("axis", -1);
  const ValueId weighted = d.mul(d.dy(), d.out());
  d.give(0, d.sub(weighted, d.mul(d.out(), sum_over(d, weighted, axis))));
}
void log_softmax(Derivative& d) {
  const int64_t axis = d.node.attributes.get_int("axis", -1);
  d.give(0, d.sub(d.dy(), d.mul(d.op("Exp", {d.out()}), sum_over(d, d.dy(), axis))));
}

// ---- operators that move elements ----------------------------------------------------------------------------------

void reshape(Derivative& d) { d.give(0, d.reshape_like(d.dy(), d.in(0))); }
void expand(Derivative& d) { d.give_summed(0, d.dy()); }
void transpose(Derivative& d) {
  const std::vector<int64_t> order = d.node.attributes.get_ints("perm");
  if (order.empty()) return d.give(0, d.op("Transpose", {d.dy()}));
  std::vector<int64_t> back(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    if (order[i] < 0 || order[i] >= static_cast<int64_t>(order.size())) d.unsupported("perm is no permutation");
    back[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
  }
  d.give(0, d.op("Transpose", {d.dy()}, {{"perm", back}}));
}
void concat(Derivative& d) {
  const int64_t axis = d.node.attributes.get_int("axis");
  std::vector<ValueId> sizes;
  for (int i = 0; i < d.node.num_inputs(); ++i)
    sizes.push_back(axis == -1 ? d.op("Shape", {d.in(i)}, {{"start", axis}})
                               : d.op("Shape", {d.in(i)}, {{"start", axis}, {"end", axis + 1}}));
  const ValueId all = d.op("Concat", sizes, {{"axis", int64_t{0}}});
  const std::vector<ValueId> parts = d.split(d.dy(), all, axis, sizes.size());
  for (int i = 0; i < d.node.num_inputs(); ++i)
    if (d.wants(i)) d.give(i, parts[static_cast<size_t>(i)]);
}
void split(Derivative& d) {
  std::vector<ValueId> parts;
  for (size_t i = 0; i < d.node.outputs.size(); ++i) {
    if (d.node.outputs[i] == kNoValue) d.unsupported("an output is left out");
    parts.push_back(d.dy(static_cast<int>(i)));
  }
  d.give(0, d.op("Concat", parts, {{"axis", d.node.attributes.get_int("axis", 0)}}));
}

struct Row {
  std::string_view op;
  DerivativeRule rule;
};

constexpr Row kRules[] = {
    {"Abs", absolute},
    {"Acos", acos},
    {"Acosh", acosh},
    {"Add", sum},
    {"Asin", asin},
    {"Asinh", asinh},
    {"Atan", atan},
    {"Atanh", atanh},
    {"Cast", cast},
    {"CastLike", cast},
    {"Ceil", step},
    {"Clip", clip},
    {"Concat", concat},
    {"Cos", cosine},
    {"Cosh", cosh},
    {"Div", quotient},
    {"Elu", elu},
    {"Erf", erf},
    {"Exp", exponential},
    {"Expand", expand},
    {"Flatten", reshape},
    {"Floor", step},
    {"Gelu", gelu},
    {"Gemm", gemm},
    {"Identity", identity},
    {"LeakyRelu", leaky_relu},
    {"Log", logarithm},
    {"LogSoftmax", log_softmax},
    {"MatMul", matmul},
    {"Mul", product},
    {"Neg", negative},
    {"Pow", power},
    {"Reciprocal", reciprocal},
    {"ReduceMean", reduce_mean},
    {"ReduceSum", reduce_sum},
    {"Relu", relu},
    {"Reshape", reshape},
    {"Round", step},
    {"Sigmoid", sigmoid},
    {"Sign", step},
    {"Sin", sine},
    {"Sinh", sinh},
    {"Softmax", softmax},
    {"Softplus", softplus},
    {"Split", split},
    {"Sqrt", square_root},
    {"Squeeze", reshape},
    {"Sub", difference},
    {"Sum", sum},
    {"Tan", tangent},
    {"Tanh", tanh},
    {"Transpose", transpose},
    {"Unsqueeze", reshape},
    {"Where", choice},
};

}  // namespace

DerivativeRule find_derivative(std::string_view domain, std::string_view op) {
  if (!domain.empty()) return nullptr;
  for (const Row& row : kRules)
    if (row.op == op) return row.rule;
  return nullptr;
}

}  // namespace fastort
