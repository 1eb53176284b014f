#include "ops/pool/roi.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "ops/core/window.h"
#include "ops/gpu/fill.h"
#include "ops/gpu/typed.h"
#include "tensor/dispatch.h"

namespace fastort {
namespace {

template <class T>
double as_double(T value) {
  if constexpr (std::is_floating_point_v<T>)
    return static_cast<double>(value);
  else
    return static_cast<double>(to_float(value));
}

// ---- MaxRoiPool ----------------------------------------------------------------------------------------------------

struct RoiShape {
  int64_t batch, channels, height, width, rois, pooled_height, pooled_width;
  double scale;
};

// The cells [first, last) of one axis that a bin covers.
struct Bin {
  int64_t first, last;
};

Bin roi_bin(double from, double to, double scale, int64_t bins, int64_t bin, int64_t limit) {
  const double start = std::round(from * scale), end = std::round(to * scale);
  // Written so that NaN gives an empty bin.
  if (!(std::abs(start) < 1e9 && std::abs(end) < 1e9)) return {0, 0};
  const double size = std::max(end - start + 1, 1.0) / static_cast<double>(bins);
  const auto clip = [&](double x) { return std::clamp(static_cast<int64_t>(x), int64_t{0}, limit); };
  return {clip(std::floor(static_cast<double>(bin) * size) + start),
          clip(std::ceil(static_cast<double>(bin + 1) * size) + start)};
}

template <class T>
void max_roi_pool(const RoiShape& s, const T* src, const T* rois, T* dst, const Parallel& parallel) {
  const int64_t pooled = s.pooled_height * s.pooled_width;
  parallel.range(s.rois * s.channels, 4, [&](int64_t begin, int64_t end) {
    for (int64_t job = begin; job < end; ++job) {
      const T* roi = rois + job / s.channels * 5;
      const double image = as_double(roi[0]);
      if (!(image >= 0 && image < static_cast<double>(s.batch)))
        invalid_argument("MaxRoiPool: a region names the image " + std::to_string(image) + " of a batch of " +
                         std::to_string(s.batch));
      const T* plane = src + (static_cast<int64_t>(image) * s.channels + job % s.channels) * s.height * s.width;
      for (int64_t at = 0; at < pooled; ++at) {
        const Bin y =
            roi_bin(as_double(roi[2]), as_double(roi[4]), s.scale, s.pooled_height, at / s.pooled_width, s.height);
        const Bin x =
            roi_bin(as_double(roi[1]), as_double(roi[3]), s.scale, s.pooled_width, at % s.pooled_width, s.width);
        const T* best = nullptr;
        for (int64_t i = y.first; i < y.last; ++i)
          for (int64_t j = x.first; j < x.last; ++j) {
            const T* value = plane + i * s.width + j;
            if (!best || as_double(*value) > as_double(*best)) best = value;
          }
        dst[job * pooled + at] = best ? *best : T{};
      }
    }
  });
}

template <class T>
std::unique_ptr<Kernel> make_max_roi_pool(const RoiShape& shape) {
  return make_kernel([shape](const KernelArgs& args) {
    max_roi_pool(shape, args.in<T>(0), args.in<T>(1), args.out<T>(0), args.parallel);
  });
}

// ---- MaxUnpool -----------------------------------------------------------------------------------------------------

// The sizes that the attributes alone lead to, by which the indices count.
template <class Get>
Shape unpooled(const Attributes& attributes, const Shape& x, Get size) {
  if (x.rank() < 3) invalid_graph("X needs at least three dimensions [N,C,...]");
  const Window window = Window::parse(attributes, x.rank() - 2, {});
  Shape y = x;
  for (int i = 0; i < window.rank; ++i) {
    const auto a = static_cast<size_t>(i);
    y[a + 2] = size(x[a + 2], window.stride[a], window.kernel[a] - window.pad_begin[a] - window.pad_end[a]);
  }
  return y;
}

Shape unpooled(const Attributes& attributes, const Shape& x) {
  return unpooled(attributes, x, [](int64_t in, int64_t stride, int64_t rest) {
    const int64_t out = (in - 1) * stride + rest;
    if (out < 0) invalid_graph("the pads leave nothing of the output");
    return out;
  });
}

// Writes src[i] to the place that indices[i] names among `inner`'s positions, in a tensor of the shape `outer`.
template <class Bits>
void max_unpool(const Shape& inner, const Shape& outer, const Bits* src, const int64_t* indices, int64_t count,
                Bits* dst) {
  std::memset(dst, 0, static_cast<size_t>(outer.count()) * sizeof(Bits));
  const int64_t limit = inner.count();
  const Shape strides = contiguous_strides(outer);
  for (int64_t i = 0; i < count; ++i) {
    int64_t index = indices[i];
    if (index < 0 || index >= limit)
      invalid_argument("MaxUnpool: the index " + std::to_string(index) + " is outside of the output " +
                       to_string(inner));
    int64_t at = 0;
    for (size_t axis = inner.size(); axis-- > 0; index /= inner[axis]) at += index % inner[axis] * strides[axis];
    dst[at] = src[i];
  }
}

template <class Bits>
std::unique_ptr<Kernel> make_max_unpool(Shape inner, Shape outer, int64_t count) {
  return make_kernel([inner, outer, count](const KernelArgs& args) {
    max_unpool(inner, outer, args.in<Bits>(0), args.in<int64_t>(1), count, args.out<Bits>(0));
  });
}

}  // namespace

void infer_max_roi_pool(InferContext& context) {
  const std::vector<int64_t> pooled = context.attributes().get_ints("pooled_shape");
  if (pooled.size() != 2 || pooled[0] < 1 || pooled[1] < 1)
    context.fail("attribute pooled_shape needs two positive items");
  if (context.has_shape(0) && context.shape(0).rank() != 4) context.fail("X needs four dimensions [N,C,H,W]");
  if (context.has_shape(1)) {
    const Shape& rois = context.shape(1);
    if (rois.rank() != 2 || (is_known(rois[1]) && rois[1] != 5)) context.fail("rois needs the shape [R,5]");
  }
  context.out(0, context.type(0),
              Shape{context.has_shape(1) ? context.shape(1)[0] : context.unknown(),
                    context.has_shape(0) ? context.shape(0)[1] : context.unknown(), pooled[0], pooled[1]});
}

std::unique_ptr<Kernel> prepare_max_roi_pool(const OpContext& context) {
  if (context.type(1) != context.type(0)) context.fail("X and rois have different types");
  const Shape &x = context.shape(0), &y = context.out(0).shape;
  const RoiShape shape{x[0], x[1], x[2], x[3],
                       y[0], y[2], y[3], static_cast<double>(context.attributes().get_float("spatial_scale", 1.0f))};
  return with_type(FloatList{}, "MaxRoiPool", context.type(0),
                   [&]<class T>(std::type_identity<T>) { return make_max_roi_pool<T>(shape); });
}

void infer_max_unpool(InferContext& context) {
  const DataType type = context.type(0);
  if (context.has_shape(0) && context.has_shape(1) && context.shape(0).rank() != context.shape(1).rank())
    context.fail("X and I have different ranks");
  if (context.has_input(2)) {
    if (const std::optional<Shape> dims = context.dims(2)) return context.out(0, type, *dims);
    if (!context.has_shape(0)) return context.out(0, type);
    Shape y(context.shape(0).size(), Dim{0});
    for (Dim& dim : y) dim = context.unknown();
    return context.out(0, type, std::move(y));
  }
  if (!context.has_shape(0)) return context.out(0, type);
  try {
    context.out(0, type, unpooled(context.attributes(), context.shape(0), [&](Dim in, int64_t stride, int64_t rest) {
                  SymbolTable& symbols = context.symbols;
                  const Dim out = symbols.add(symbols.mul(symbols.sub(in, 1), stride), rest);
                  if (is_known(in) && !is_known(out)) invalid_graph("the pads leave nothing of the output");
                  return out;
                }));
  } catch (const Error& error) {
    context.fail(error.what());
  }
}

namespace {

// The shape whose places the indices name.
Shape checked_inner(const OpContext& context) {
  const Shape& outer = context.out(0).shape;
  Shape inner;
  try {
    inner = unpooled(context.attributes(), context.shape(0));
  } catch (const Error& error) {
    context.fail(error.what());
  }
  if (context.type(1) != DataType::Int64) context.fail("I is not int64");
  if (context.shape(1).count() != context.shape(0).count()) context.fail("X and I have different sizes");
  bool fits = inner.rank() == outer.rank();
  for (size_t i = 0; fits && i < inner.size(); ++i) fits = inner[i] <= outer[i];
  if (!fits) context.fail("output_shape " + to_string(outer) + " is smaller than " + to_string(inner));
  return inner;
}

Refusal gpu_max_unpool(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const Shape inner = checked_inner(context), &outer = context.out(0).shape;
  if (context.options.deterministic) return "places that more than one index may name, in a deterministic session";
  const size_t bytes = element_size(context.type(0));
  constexpr std::byte kZero[8] = {};
  if (Refusal refusal = gpu::add_fill(work, GpuWork::output(0), outer.count(), {kZero, bytes}, traits)) return refusal;
  std::string_view shader;
  if (Refusal refusal = gpu::choose_by_bytes("max_unpool", bytes, traits, shader)) return refusal;
  std::vector<uint32_t> words;
  for (const Dim dim : inner) words.push_back(static_cast<uint32_t>(dim));
  for (const Dim stride : contiguous_strides(outer)) words.push_back(static_cast<uint32_t>(stride));
  const int64_t count = context.shape(0).count();
  const GpuOperand table = work.table(std::move(words));
  GpuDispatch& dispatch = work.dispatch(shader);
  dispatch.constants = {static_cast<uint32_t>(inner.rank())};
  dispatch.operands = {GpuWork::output(0), GpuWork::input(0), GpuWork::input(1), table};
  dispatch.push.u32(count).u32(inner.count());
  dispatch.groups = groups_for(count, 64, traits);
  return std::nullopt;
}

}  // namespace

constinit const GpuRecipe kGpuMaxUnpool{kFloatTypes, gpu_max_unpool};

std::unique_ptr<Kernel> prepare_max_unpool(const OpContext& context) {
  const Shape& outer = context.out(0).shape;
  const int64_t count = context.shape(0).count();
  const Shape inner = checked_inner(context);
  switch (element_size(context.type(0))) {
    case 2:
      return make_max_unpool<uint16_t>(inner, outer, count);
    case 4:
      return make_max_unpool<uint32_t>(inner, outer, count);
    default:
      return make_max_unpool<uint64_t>(inner, outer, count);
  }
}

}  // namespace fastort
