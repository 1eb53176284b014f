#include <algorithm>
#include <cmath>

#include "kernels/move/element.h"
#include "ops/core/move.h"
#include "ops/gpu/fill.h"
#include "ops/gpu/order.h"
#include "ops/gpu/typed.h"
#include "tensor/dispatch.h"

namespace fastort {
namespace {

constexpr TypeMask kEyeTypes = kNumericTypes | TypeMask{DataType::Bool};

// ---- constants -----------------------------------------------------------------------------------------------------

Tensor dense(const SparseTensor& sparse) {
  Tensor result(sparse.values.type(), sparse.shape);
  if (result.type() == DataType::String) not_implemented("sparse strings");
  std::fill_n(result.raw(), result.bytes(), std::byte{0});
  const kernels::Strides strides = kernels::strides_of(sparse.shape);
  const bool linear = sparse.indices.shape().rank() == 1;
  const int64_t rank = sparse.shape.rank(), size = static_cast<int64_t>(element_size(result.type()));
  const int64_t* index = sparse.indices.data<int64_t>();
  for (int64_t i = 0; i < sparse.values.count(); ++i) {
    int64_t at = 0;
    if (linear) {
      at = checked_index("Constant: sparse_value indices", index[i], result.count());
    } else {
      for (int64_t d = 0; d < rank; ++d)
        at += strides[d] * checked_index("Constant: sparse_value indices", index[i * rank + d], sparse.shape[d]);
    }
    std::copy_n(sparse.values.raw() + i * size, size, result.raw() + at * size);
  }
  return result;
}

Tensor constant_value(const Node& node) {
  const Attributes& attributes = node.attributes;
  if (const Tensor* tensor = attributes.get_tensor("value")) return *tensor;
  if (attributes.has("value_int")) return Tensor::scalar<int64_t>(attributes.get_int("value_int"));
  if (attributes.has("value_float")) return Tensor::scalar<float>(attributes.get_float("value_float", 0));
  if (attributes.has("value_ints")) return Tensor::vector<int64_t>(attributes.get_ints("value_ints"));
  if (attributes.has("value_floats")) return Tensor::vector<float>(attributes.get_floats("value_floats"));
  if (attributes.has("value_string")) {
    Tensor tensor(DataType::String, Shape{});
    *tensor.data<std::string>() = attributes.get_string("value_string", "");
    return tensor;
  }
  if (attributes.has("value_strings")) {
    const auto items = attributes.get_strings("value_strings");
    Tensor tensor(DataType::String, Shape{static_cast<Dim>(items.size())});
    std::copy(items.begin(), items.end(), tensor.data<std::string>());
    return tensor;
  }
  if (const Attribute* sparse = attributes.find("sparse_value")) {
    if (const auto* value = std::get_if<std::shared_ptr<const SparseTensor>>(sparse)) return dense(**value);
  }
  invalid_graph(
      "one of the attributes value, value_int(s), value_float(s), value_string(s) and sparse_value is needed");
}

void infer_constant(InferContext& context) {
  const Tensor value = constant_value(context.node);
  context.out(0, value.type(), value.shape());
  if (value.type() == DataType::Int64 && value.shape().rank() <= 1 && value.count() <= 64)
    context.out_dims(0, Shape(value.span<int64_t>()));
}

std::unique_ptr<Kernel> prepare_constant(const OpContext& context) {
  const Tensor value = constant_value(context.node);
  kernels::StridedCopy copy(value.type(), Shape{value.count()}, {1}, {1});
  return make_kernel(
      [copy, value](const KernelArgs& args) { copy.run(value.raw(), args.pointers[args.num_inputs], args.parallel); });
}

Tensor fill_value(const Node& node) {
  const Tensor* value = node.attributes.get_tensor("value");
  if (!value) return Tensor::scalar<float>(0);
  if (value->count() != 1) invalid_graph("value must hold one element, got " + describe(*value));
  return *value;
}

void infer_constant_of_shape(InferContext& context) {
  const Tensor value = fill_value(context.node);
  const auto dims = context.dims(0);
  if (!dims) {
    const auto length = vector_length(context, 0);
    if (!length) return context.out(0, value.type());
    return context.out(0, value.type(), unknown_shape(context, *length));
  }
  for (Dim dim : *dims)
    if (dim < 0 && !is_symbol(dim))
      context.fail("the input " + to_string(*dims, context.symbols) + " has a negative size");
  context.out(0, value.type(), *dims);
  if (dims->rank() == 1 && value.type() == DataType::Int64 && is_known((*dims)[0]) && (*dims)[0] <= 64)
    context.out_dims(0, Shape(static_cast<size_t>((*dims)[0]), *value.data<int64_t>()));
}

std::unique_ptr<Kernel> prepare_constant_of_shape(const OpContext& context) {
  const Tensor value = fill_value(context.node);
  kernels::StridedCopy fill(value.type(), Shape{context.out(0).shape.count()}, {0}, {1});
  return make_kernel(
      [fill, value](const KernelArgs& args) { fill.run(value.raw(), args.pointers[args.num_inputs], args.parallel); });
}

// ---- Range ---------------------------------------------------------------------------------------------------------

// Number of steps, or -1 where the limit cannot be reached with any count that memory could hold.
int64_t range_count(const Tensor& start, const Tensor& limit, const Tensor& delta) {
  constexpr int64_t kMost = int64_t{1} << 40;
  if (is_integer(start.type())) {
    const __int128 from = scalar_as_int(start), to = scalar_as_int(limit), step = scalar_as_int(delta);
    if (step == 0) return -1;
    const __int128 span = step > 0 ? to - from : from - to, size = step > 0 ? step : -step;
    const __int128 count = span <= 0 ? 0 : (span + size - 1) / size;
    return count > kMost ? -1 : static_cast<int64_t>(count);
  }
  const double count = std::ceil((scalar_as_double(limit) - scalar_as_double(start)) / scalar_as_double(delta));
  if (!(count < static_cast<double>(kMost))) return -1;
  return count > 0 ? static_cast<int64_t>(count) : 0;
}

void infer_range(InferContext& context) {
  const Tensor *start = context.value(0), *limit = context.value(1), *delta = context.value(2);
  if (start && limit && delta) {
    const int64_t count = range_count(*start, *limit, *delta);
    if (count < 0)
      context.fail("start " + std::to_string(scalar_as_double(*start)) + ", limit " +
                   std::to_string(scalar_as_double(*limit)) + " and delta " + std::to_string(scalar_as_double(*delta)) +
                   " make no range that could be held in memory");
    context.out(0, context.type(0), {count});
    if (context.type(0) == DataType::Int64 && count <= 64) {
      Shape items;
      for (int64_t i = 0; i < count; ++i) items.push_back(scalar_as_int(*start) + i * scalar_as_int(*delta));
      context.out_dims(0, items);
    }
    return;
  }
  const auto from = context.dims(0), to = context.dims(1), step = context.dims(2);
  auto is = [](const std::optional<Shape>& dims, Dim item) { return dims && dims->size() == 1 && (*dims)[0] == item; };
  if (is(from, 0) && is(step, 1) && to && to->size() == 1 && is_symbol((*to)[0]))
    return context.out(0, context.type(0), {(*to)[0]});
  context.out(0, context.type(0), {context.unknown()});
}

std::unique_ptr<Kernel> prepare_range(const OpContext& context) {
  const int64_t count = context.out(0).shape.count();
  using Types = Joined<FloatList, TypeList<int16_t, int32_t, int64_t>>;
  return with_type(Types{}, "Range", context.type(0), [&]<class T>(std::type_identity<T>) {
    if (kIsHalf<T> && context.attributes().get_int("stash_type", 1) != 1)
      context.fail("stash_type other than 1 (float) is not supported");
    return make_kernel([count](const KernelArgs& args) {
      const auto start = widened(*args.in<T>(0)), delta = widened(*args.in<T>(2));
      T* dst = args.out<T>(0);
      using Number = Arithmetic<T>;
      for (int64_t i = 0; i < count; ++i)
        dst[i] = rounded<T>(static_cast<Number>(start + static_cast<Number>(i) * delta));
    });
  });
}

// ---- EyeLike, OneHot -----------------------------------------------------------------------------------------------

void infer_eye_like(InferContext& context) {
  const DataType type = type_attribute(context.node, "dtype", context.type(0));
  if (!kEyeTypes.has(type)) context.fail("dtype " + std::string(name(type)) + " is not supported");
  if (!context.has_shape(0)) return context.out(0, type, unknown_shape(context, 2));
  if (context.shape(0).rank() != 2)
    context.fail("the input must have two dimensions, got " + to_string(context.shape(0)));
  context.out(0, type, context.shape(0));
}

std::unique_ptr<Kernel> prepare_eye_like(const OpContext& context) {
  const DataType type = context.out(0).type;
  const int64_t rows = context.out(0).shape[0], cols = context.out(0).shape[1];
  const int64_t diagonal = context.attributes().get_int("k", 0);
  const Tensor one = number_as(type, 1);
  return make_kernel([=](const KernelArgs& args) {
    const size_t size = element_size(type);
    std::byte* dst = args.pointers[args.num_inputs];
    std::fill_n(dst, static_cast<size_t>(rows * cols) * size, std::byte{0});
    if (diagonal <= -rows || diagonal >= cols) return;
    for (int64_t row = std::max<int64_t>(0, -diagonal); row < rows && row + diagonal < cols; ++row)
      std::copy_n(one.raw(), size, dst + static_cast<size_t>(row * cols + row + diagonal) * size);
  });
}

void infer_one_hot(InferContext& context) {
  const DataType type = context.type(2);
  if (!context.has_shape(0)) return context.out(0, type);
  const Shape& indices = context.shape(0);
  int64_t axis = context.attributes().get_int("axis", -1);
  if (axis < -indices.rank() - 1 || axis > indices.rank())
    context.fail("axis " + std::to_string(axis) + " is outside [-r-1, r] for indices " + to_string(indices));
  if (axis < 0) axis += indices.rank() + 1;
  Dim depth = 0;
  if (const Tensor* value = context.value(1)) {
    if (value->count() != 1) context.fail("depth must hold one element, got " + describe(*value));
    depth = scalar_as_int(*value);
    if (depth < 0) context.fail("depth " + std::to_string(depth) + " is negative");
  } else if (const auto dims = context.dims(1);
             dims && dims->size() == 1 && ((*dims)[0] >= 0 || is_symbol((*dims)[0]))) {
    depth = (*dims)[0];
  } else {
    depth = context.unknown();
  }
  Shape shape = indices;
  shape.insert(static_cast<size_t>(axis), depth);
  context.out(0, type, shape);
}

std::unique_ptr<Kernel> prepare_one_hot(const OpContext& context) {
  const Shape &indices = context.shape(0), &shape = context.out(0).shape;
  if (context.shape(2).count() != 2) context.fail("values must hold two elements (off, on)");
  int64_t axis = context.attributes().get_int("axis", -1);
  if (axis < 0) axis += indices.rank() + 1;
  const int64_t depth = shape[axis];
  const int64_t outer = indices.count(0, static_cast<int>(axis));
  const int64_t inner = indices.count(static_cast<int>(axis), indices.rank());
  const DataType index_type = context.type(0);
  const kernels::StridedCopy fill(context.type(2), Shape{shape.count()}, {0}, {1});
  auto typed = [&]<class T>(std::type_identity<T>) -> std::unique_ptr<Kernel> {
    return make_kernel([=](const KernelArgs& args) {
      const T* values = args.in<T>(2);
      T* dst = args.out<T>(0);
      fill.run(args.pointers[2], args.pointers[args.num_inputs], args.parallel);
      args.parallel.range(outer * inner, 4096, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          int64_t index = number_at(index_type, args.pointers[0], i);
          if (index < -depth || index >= depth) continue;
          if (index < 0) index += depth;
          dst[(i / inner * depth + index) * inner + i % inner] = values[1];
        }
      });
    });
  };
  return kernels::with_element(context.type(2), typed);
}

Refusal gpu_one_hot(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const Shape& indices = context.shape(0);
  if (context.shape(2).count() != 2) context.fail("values must hold two elements (off, on)");
  int64_t axis = context.attributes().get_int("axis", -1);
  if (axis < 0) axis += indices.rank() + 1;
  const auto at = static_cast<int>(axis);
  const kernels::AxisView view{indices.count(0, at), context.out(0).shape[static_cast<size_t>(axis)],
                               indices.count(at, indices.rank())};
  return gpu::add_one_hot(work, context.type(0), context.type(2), view, GpuWork::input(0), GpuWork::input(2), traits);
}

Refusal gpu_eye_like(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const Shape& shape = context.out(0).shape;
  const Tensor one = number_as(context.out(0).type, 1);
  return gpu::add_fill(work, GpuWork::output(0), shape.count(), {one.raw(), one.bytes()}, traits, shape[1],
                       std::clamp<int64_t>(context.attributes().get_int("k", 0), -shape[0], shape[1]));
}

Refusal gpu_constant_of_shape(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const Tensor value = fill_value(context.node);
  if (value.type() == DataType::String) return "strings";
  return gpu::add_fill(work, GpuWork::output(0), context.out(0).shape.count(), {value.raw(), value.bytes()}, traits);
}

Refusal gpu_range(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  std::string_view shader;
  if (Refusal refusal = gpu::choose_by_type("range", context.type(0), traits, shader)) return refusal;
  const int64_t count = context.out(0).shape.count();
  GpuDispatch& dispatch = work.dispatch(shader);
  dispatch.operands = {GpuWork::output(0), GpuWork::input(0), GpuWork::input(2)};
  dispatch.push.u32(count);
  dispatch.groups = groups_for(count, 64, traits);
  return std::nullopt;
}

constexpr GpuRecipe kGpuEyeLike{kAllTypes, gpu_eye_like};
constexpr GpuRecipe kGpuConstantOfShape{TypeMask{DataType::Int64}, gpu_constant_of_shape, true};
constexpr GpuRecipe kGpuRange{
    TypeMask{DataType::Float, DataType::Double, DataType::Int16, DataType::Int32, DataType::Int64}, gpu_range};
constexpr GpuRecipe kGpuOneHot{TypeMask{DataType::Float, DataType::Int32, DataType::Int64}, gpu_one_hot};

constexpr Candidate kConstant[] = {{"copy", nullptr, prepare_constant}};
constexpr Candidate kConstantOfShape[] = {{"fill", nullptr, prepare_constant_of_shape}};
constexpr Candidate kRange[] = {{"range", nullptr, prepare_range}};
constexpr Candidate kEyeLike[] = {{"diagonal", nullptr, prepare_eye_like}};
constexpr Candidate kOneHot[] = {{"one_hot", nullptr, prepare_one_hot}};
constexpr TypeMask kRangeTypes = kFloatTypes | TypeMask{DataType::Int16, DataType::Int32, DataType::Int64};

}  // namespace

std::span<const OpDef> constant_ops() {
  static const OpDef kOps[] = {
      {"", "Constant", infer_constant, kConstant},
      {"", "ConstantOfShape", infer_constant_of_shape, kConstantOfShape, kAllTypes, kNone, 1u << 0,
       &kGpuConstantOfShape},
      {"", "Range", infer_range, kRange, kRangeTypes, kNone, 0b111, &kGpuRange},
      {"", "EyeLike", infer_eye_like, kEyeLike, kAllTypes, kNone, 0, &kGpuEyeLike},
      {"", "OneHot", infer_one_hot, kOneHot, kNumericTypes, kNone, 1u << 1, &kGpuOneHot},
  };
  return kOps;
}

}  // namespace fastort
