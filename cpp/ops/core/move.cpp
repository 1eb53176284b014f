#include "ops/core/move.h"

#include <limits>
#include <type_traits>

#include "kernels/move/element.h"
#include "tensor/dispatch.h"

namespace fastort {
namespace {

std::unique_ptr<Kernel> prepare_copy(const OpContext& context) {
  const int64_t count = physical_count(context.shape(0), context.in(0).layout);
  kernels::StridedCopy copy(context.type(0), Shape{count}, {1}, {1});
  return make_kernel(
      [copy](const KernelArgs& args) { copy.run(args.pointers[0], args.pointers[args.num_inputs], args.parallel); });
}

constexpr Candidate kCopy[] = {{"copy", nullptr, prepare_copy}};

// Calls f with the C++ type of a real element type.
template <class F>
decltype(auto) with_number(DataType type, F&& f) {
  return with_type(RealList{}, "reading numbers out", type, f);
}

// Floating-point numbers beyond the range of int64 become its ends, NaN becomes 0.
template <class T>
int64_t to_whole(T value) {
  if constexpr (kIsHalf<T>) {
    return to_whole(to_float(value));
  } else if constexpr (std::is_floating_point_v<T>) {
    if (value != value) return 0;
    if (value >= static_cast<T>(0x1p63)) return std::numeric_limits<int64_t>::max();
    if (value < static_cast<T>(-0x1p63)) return std::numeric_limits<int64_t>::min();
    return static_cast<int64_t>(value);
  } else {
    return static_cast<int64_t>(value);
  }
}

void require_scalar(const Tensor& tensor) {
  if (tensor.count() != 1) invalid_argument("expected one element, got " + describe(tensor));
}

}  // namespace

const std::span<const Candidate> kCopyOnly = kCopy;

void require_types(const InferContext& context, TypeMask types, const char* what) {
  const DataType type = context.type(0);
  if (type == DataType::Undefined || types.has(type)) return;
  not_implemented(describe(context.node) + ": " + what + " is not defined for elements of type " +
                  std::string(name(type)) + "; insert a Cast");
}

Shape memory_dims(const Shape& shape, Layout layout) {
  const int rank = shape.rank();
  if (layout == Layout::Plain || rank < 3) return shape;
  Shape dims{shape[0]};
  const int64_t block = channel_block(layout);
  if (layout != Layout::Nhwc) dims.push_back((shape[1] + block - 1) / block);
  for (int i = 2; i < rank; ++i) dims.push_back(shape[i]);
  dims.push_back(layout == Layout::Nhwc ? shape[1] : block);
  return dims;
}

int memory_axis(int axis, int rank, Layout layout) {
  if (layout != Layout::Nhwc || axis == 0 || rank < 3) return axis;
  return axis == 1 ? rank - 1 : axis - 1;
}

void index_out_of_range(const char* what, int64_t index, int64_t size) {
  invalid_argument(std::string(what) + ": index " + std::to_string(index) + " is outside [" + std::to_string(-size) +
                   ", " + std::to_string(size - 1) + "]");
}

InlineVector<int, 8> checked_axes(const Node& node, std::span<const int64_t> axes, int rank) {
  InlineVector<int, 8> checked;
  for (int64_t axis : axes) {
    const int normal = normalize_axis(node, axis, rank);
    for (int other : checked)
      if (other == normal) invalid_graph("axis " + std::to_string(axis) + " is given twice");
    checked.push_back(normal);
  }
  return checked;
}

DataType type_attribute(const Node& node, std::string_view name, DataType fallback) {
  if (!node.attributes.has(name)) return fallback;
  const int64_t type = node.attributes.get_int(name);
  if (type < 1 || type >= kDataTypes)
    invalid_graph(std::string(name) + " " + std::to_string(type) + " is no element type");
  return static_cast<DataType>(type);
}

Shape unknown_shape(const InferContext& context, int64_t rank) {
  if (rank < 0 || rank > 64)
    context.fail("a tensor of rank " + std::to_string(rank) + " is not supported (at most 64)");
  Shape shape;
  for (int64_t i = 0; i < rank; ++i) shape.push_back(context.unknown());
  return shape;
}

Dim product(const InferContext& context, const Shape& shape, int begin, int end) {
  Dim result = 1;
  for (int i = begin; i < end; ++i) result = context.symbols.mul(result, shape[i]);
  return result;
}

std::optional<int64_t> vector_length(const InferContext& context, int i) {
  if (const auto dims = context.dims(i)) return static_cast<int64_t>(dims->size());
  if (!context.has_shape(i) || context.shape(i).rank() > 1) return std::nullopt;
  if (context.shape(i).rank() == 0) return 1;
  if (!is_known(context.shape(i)[0])) return std::nullopt;
  return context.shape(i)[0];
}

const Tensor& tensor_of(const Value& value, const char* op) {
  if (!value.is_tensor()) invalid_argument(std::string(op) + ": a tensor is needed where there is none");
  return value.tensor();
}

double scalar_as_double(const Tensor& tensor) {
  require_scalar(tensor);
  return with_number(tensor.type(), [&]<class T>(std::type_identity<T>) -> double {
    return static_cast<double>(widened(*tensor.data<T>()));
  });
}

int64_t scalar_as_int(const Tensor& tensor) {
  require_scalar(tensor);
  return number_at(tensor.type(), tensor.raw(), 0);
}

int64_t number_at(DataType type, const std::byte* data, int64_t i) {
  return with_number(type,
                     [&]<class T>(std::type_identity<T>) { return to_whole(reinterpret_cast<const T*>(data)[i]); });
}

Tensor number_as(DataType type, double value) {
  return with_number(type, [&]<class T>(std::type_identity<T>) {
    return Tensor::scalar(rounded<T>(static_cast<Arithmetic<T>>(value)));
  });
}

}  // namespace fastort
