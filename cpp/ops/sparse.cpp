// Sparse tensors: constants, and com.microsoft's product of a sparse and a dense matrix.
#include <algorithm>
#include <cmath>

#include "ops/core/move.h"
#include "tensor/dispatch.h"

namespace fastort {
namespace {

// ---- constants -----------------------------------------------------------------------------------------------------

std::shared_ptr<const SparseTensor> sparse_value(const Node& node) {
  if (const Attribute* attribute = node.attributes.find("value"))
    if (const auto* value = std::get_if<std::shared_ptr<const SparseTensor>>(attribute)) return *value;
  invalid_graph("the attribute value must hold a sparse tensor");
}

void infer_constant(InferContext& context) {
  const auto value = sparse_value(context.node);
  context.outputs[0] = {ValueKind::SparseTensor, value->values.type(), true, value->shape, nullptr};
}

std::unique_ptr<Kernel> prepare_constant(const OpContext& context) {
  return make_kernel(
      [value = sparse_value(context.node)](const KernelArgs& args) { args.frame->set_output(0, value); });
}

// ---- SparseToDenseMatMul -------------------------------------------------------------------------------------------

constexpr const char* kProduct = "SparseToDenseMatMul";
constexpr TypeMask kProductMask{DataType::Float, DataType::Double, DataType::Int32,
                                DataType::Int64, DataType::UInt32, DataType::UInt64};
// Signed integers wrap as unsigned ones do.
using ProductTypes = TypeList<float, double, uint32_t, uint64_t>;

DataType arithmetic_type(DataType type) {
  return type == DataType::Int32 ? DataType::UInt32 : type == DataType::Int64 ? DataType::UInt64 : type;
}

template <class T>
T factor_of(float alpha) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(static_cast<int64_t>(alpha));
  else
    return static_cast<T>(alpha);
}

struct Product {
  bool trans_a = false, trans_b = false;
  float alpha = 1;

  explicit Product(const Attributes& attributes)
      : trans_a(attributes.get_int("transA", 0) != 0),
        trans_b(attributes.get_int("transB", 0) != 0),
        alpha(attributes.get_float("alpha", 1)) {}
};

void infer_product(InferContext& context) {
  const ValueType &a = context.in(0), &b = context.in(1);
  if (a.kind != ValueKind::SparseTensor && a.kind != ValueKind::Unknown)
    context.fail("A must be a sparse tensor, not " + type_string(a));
  if (b.kind != ValueKind::Tensor && b.kind != ValueKind::Unknown)
    context.fail("B must be a dense tensor, not " + type_string(b));
  const bool known = a.element != DataType::Undefined && b.element != DataType::Undefined;
  if (known && a.element != b.element) context.fail("A and B must have one element type; insert a Cast for B");
  if (b.element != DataType::Undefined && !kProductMask.has(b.element))
    not_implemented("products of sparse " + std::string(name(b.element)) +
                    "; there are float, double and integers of 32 and 64 bits");
  const Product product(context.attributes());
  if (is_integer(b.element) && (product.alpha != std::trunc(product.alpha) || std::abs(product.alpha) > 0x1p30f))
    context.fail("'alpha' must be a whole number for integers, not " + std::to_string(product.alpha));
  Shape y{context.unknown(), context.unknown()};
  const auto size = [&](const ValueType& type, const char* what, int axis) {
    if (type.shape.rank() != 2) context.fail(std::string(what) + " must be a matrix, not " + type_string(type));
    return type.shape[static_cast<size_t>(axis)];
  };
  if (a.has_shape) y[0] = size(a, "A", product.trans_a ? 1 : 0);
  if (b.has_shape) y[1] = size(b, "B", product.trans_b ? 0 : 1);
  if (a.has_shape && b.has_shape) {
    const Dim left = size(a, "A", product.trans_a ? 0 : 1), right = size(b, "B", product.trans_b ? 1 : 0);
    if (is_known(left) && is_known(right) && left != right)
      context.fail("A has " + std::to_string(left) + " columns, B " + std::to_string(right) + " rows");
  }
  context.out(0, b.element, std::move(y));
}

// The places of A's items, checked, as rows and columns.
class Places {
 public:
  explicit Places(const SparseTensor& a)
      : items_(a.indices.data<int64_t>()), columns_(a.shape[1]), linear_(a.indices.shape().rank() == 1) {
    const int64_t count = a.values.count();
    const Shape want = linear_ ? Shape{count} : Shape{count, 2};
    if (a.indices.type() != DataType::Int64 || a.indices.shape() != want || a.values.shape().rank() != 1)
      invalid_argument(std::string(kProduct) + ": the indices " + describe(a.indices) + " do not fit the values " +
                       describe(a.values));
    for (int64_t i = 0; i < count; ++i) {
      const bool inside = linear_ ? items_[i] >= 0 && items_[i] < a.shape.count()
                                  : row(i) >= 0 && row(i) < a.shape[0] && column(i) >= 0 && column(i) < columns_;
      if (!inside)
        invalid_argument(std::string(kProduct) + ": index " + std::to_string(i) + " of A is outside its shape " +
                         to_string(a.shape));
    }
  }
  int64_t row(int64_t i) const { return linear_ ? items_[i] / columns_ : items_[2 * i]; }
  int64_t column(int64_t i) const { return linear_ ? items_[i] % columns_ : items_[2 * i + 1]; }

 private:
  const int64_t* items_;
  int64_t columns_;
  bool linear_;
};

// Each thread has columns of its own, so that the items may stand in any order.
template <class T>
void multiply(const Product& product, const SparseTensor& a, const Tensor& b, const Tensor& y,
              const Parallel& parallel) {
  const Places places(a);
  const T* const values = a.values.data<T>();
  const T alpha = factor_of<T>(product.alpha);
  const int64_t rows = y.shape()[0], columns = y.shape()[1], count = a.values.count();
  const int64_t row_step = product.trans_b ? 1 : columns, column_step = product.trans_b ? b.shape()[1] : 1;
  const int64_t grain = 16 + 16384 / std::max<int64_t>(1, count + rows);
  parallel.range(columns, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < rows; ++i) std::fill_n(y.data<T>() + i * columns + begin, end - begin, T{0});
    for (int64_t i = 0; i < count; ++i) {
      const int64_t to = product.trans_a ? places.column(i) : places.row(i);
      const int64_t from = product.trans_a ? places.row(i) : places.column(i);
      const T factor = alpha * values[i];
      const T* const src = b.data<T>() + from * row_step;
      T* const dst = y.data<T>() + to * columns;
      for (int64_t j = begin; j < end; ++j) dst[j] += factor * src[j * column_step];
    }
  });
}

std::unique_ptr<Kernel> prepare_product(const OpContext& context) {
  return make_kernel([product = Product(context.attributes())](const KernelArgs& args) {
    const Value left = args.frame->input(0), right = args.frame->input(1);
    if (!left.is_sparse()) invalid_argument(std::string(kProduct) + ": A is no sparse tensor");
    const SparseTensor& a = left.sparse();
    const Tensor& b = tensor_of(right, kProduct);
    if (a.shape.rank() != 2 || b.shape().rank() != 2 || a.values.type() != b.type())
      invalid_argument(std::string(kProduct) + ": A and B must be matrices of one type, not " +
                       std::string(name(a.values.type())) + to_string(a.shape) + " and " + describe(b));
    if (a.shape[product.trans_a ? 0 : 1] != b.shape()[product.trans_b ? 1 : 0])
      invalid_argument(std::string(kProduct) + ": the shapes " + to_string(a.shape) + " and " + to_string(b.shape()) +
                       " do not fit");
    const Shape shape{a.shape[product.trans_a ? 1 : 0], b.shape()[product.trans_b ? 0 : 1]};
    const Tensor y = args.frame->allocate_output(0, b.type(), shape);
    with_type(ProductTypes{}, kProduct, arithmetic_type(b.type()),
              [&](auto type) { multiply<typename decltype(type)::type>(product, a, b, y, args.parallel); });
  });
}

constexpr Candidate kConstant[] = {{"constant", nullptr, prepare_constant}};
constexpr Candidate kMatMul[] = {{"items", nullptr, prepare_product}};
constexpr OpDef kOps[] = {
    {"fastort", "SparseConstant", infer_constant, kConstant, kAllTypes, kDynamic},
    {"com.microsoft", "SparseToDenseMatMul", infer_product, kMatMul, kProductMask, kDynamic},
};

}  // namespace

std::span<const OpDef> sparse_ops() { return kOps; }

}  // namespace fastort
