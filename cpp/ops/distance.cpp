// com.microsoft's CDist and DynamicTimeWarping.
#include "kernels/distance.h"

#include <algorithm>
#include <vector>

#include "kernels/move/strided_copy.h"
#include "ops/core/move.h"

namespace fastort {
namespace {

// ---- CDist ---------------------------------------------------------------------------------------------------------

kernels::Distance metric_of(const Attributes& attributes) {
  const std::string metric = attributes.get_string("metric", "sqeuclidean");
  if (metric == "sqeuclidean") return kernels::Distance::SquaredEuclidean;
  if (metric == "euclidean") return kernels::Distance::Euclidean;
  if (metric == "cityblock") return kernels::Distance::CityBlock;
  if (metric == "chebyshev") return kernels::Distance::Chebyshev;
  not_implemented("CDist with metric '" + metric + "'; sqeuclidean, euclidean, cityblock and chebyshev are there");
}

void infer_cdist(InferContext& context) {
  metric_of(context.attributes());
  Shape shape = unknown_shape(context, 2);
  for (int i = 0; i < 2; ++i) {
    if (!context.has_shape(i)) continue;
    if (context.shape(i).rank() != 2) context.fail("A and B must be matrices");
    shape[static_cast<size_t>(i)] = context.shape(i)[0];
  }
  if (context.has_shape(0) && context.has_shape(1)) {
    const Dim a = context.shape(0)[1], b = context.shape(1)[1];
    if (is_known(a) && is_known(b) && a != b) context.fail("the rows of A and B have different lengths");
  }
  context.out(0, context.type(0), shape);
}

template <class T>
std::unique_ptr<Kernel> cdist(const OpContext& context) {
  const int64_t rows = context.shape(0)[0], points = context.shape(1)[0], features = context.shape(0)[1];
  const kernels::Distance metric = metric_of(context.attributes());
  const kernels::StridedCopy turn(context.type(1), {features, points}, {1, features}, {points, 1});
  return make_kernel(
      [=](const KernelArgs& args) {
        turn.run(args.in<std::byte>(1), args.workspace, args.parallel);
        kernels::distances(metric, args.in<T>(0), reinterpret_cast<const T*>(args.workspace), args.out<T>(0), rows,
                           points, features, args.parallel);
      },
      static_cast<size_t>(features * points) * sizeof(T));
}

std::unique_ptr<Kernel> prepare_cdist(const OpContext& context) {
  if (context.type(1) != context.type(0)) context.fail("A and B must have the same type");
  return context.type(0) == DataType::Float ? cdist<float>(context) : cdist<double>(context);
}

// ---- DynamicTimeWarping --------------------------------------------------------------------------------------------

void infer_warping(InferContext& context) { context.out(0, DataType::Int32, {2, context.unknown()}); }

// The cheapest path from the first to the last item of a matrix by steps down, right, or both.
std::unique_ptr<Kernel> prepare_warping(const OpContext&) {
  return make_kernel([](const KernelArgs& args) {
    const Value input = args.frame->input(0);
    const Tensor& costs = tensor_of(input, "DynamicTimeWarping");
    const Shape& shape = costs.shape();
    if (shape.rank() != 2 && !(shape.rank() == 3 && shape[0] == 1))
      invalid_argument("DynamicTimeWarping: the input must be [M,N] or [1,M,N], got " + to_string(shape));
    const int64_t rows = shape[shape.size() - 2], cols = shape[shape.size() - 1], width = cols + 1;
    enum Step : uint8_t { kBoth, kDown, kRight };
    std::vector<float> total(static_cast<size_t>((rows + 1) * width), std::numeric_limits<float>::infinity());
    std::vector<Step> step(total.size(), kRight);
    total[0] = 0;
    for (int64_t r = 1; r <= rows; ++r) {
      for (int64_t c = 1; c <= cols; ++c) {
        const auto at = static_cast<size_t>(r * width + c);
        const float both = total[at - static_cast<size_t>(width) - 1], down = total[at - static_cast<size_t>(width)];
        const float right = total[at - 1];
        step[at] = both < down && both < right ? kBoth : down < both && down < right ? kDown : kRight;
        const float before = step[at] == kBoth ? both : step[at] == kDown ? down : right;
        total[at] = before + costs.data<float>()[(r - 1) * cols + c - 1];
      }
    }
    std::vector<int32_t> path;  // backwards, column before row
    for (int64_t r = rows, c = cols; r > 0 && c > 0;) {
      path.push_back(static_cast<int32_t>(c - 1));
      path.push_back(static_cast<int32_t>(r - 1));
      // On the border there is one way left.
      const Step taken = r == 1 ? kRight : c == 1 ? kDown : step[static_cast<size_t>(r * width + c)];
      r -= taken != kRight;
      c -= taken != kDown;
    }
    const auto count = static_cast<int64_t>(path.size() / 2);
    int32_t* dst = args.frame->allocate_output(0, DataType::Int32, Shape{2, count}).data<int32_t>();
    for (int64_t i = 0; i < count; ++i) {
      const auto from = static_cast<size_t>(2 * (count - 1 - i));
      dst[i] = path[from + 1];
      dst[count + i] = path[from];
    }
  });
}

constexpr Candidate kCdist[] = {{"columns", nullptr, prepare_cdist}};
constexpr Candidate kWarping[] = {{"path", nullptr, prepare_warping}};

constexpr OpDef kOps[] = {
    {"com.microsoft", "CDist", infer_cdist, kCdist, TypeMask{DataType::Float, DataType::Double}},
    {"com.microsoft", "DynamicTimeWarping", infer_warping, kWarping, kFloat32, kDynamic},
};

}  // namespace

std::span<const OpDef> distance_ops() { return kOps; }

}  // namespace fastort
