// com.microsoft's CropAndResize: boxes of pictures, brought to one size with their corners aligned.
#include <cmath>

#include "kernels/sample/types.h"
#include "ops/core/move.h"

namespace fastort {
namespace {

constexpr int64_t kMostPixels = int64_t{1} << 20;  // of one side

void infer_crop_and_resize(InferContext& context) {
  Shape shape = unknown_shape(context, 4);
  if (context.has_shape(0)) {
    if (context.shape(0).rank() != 4) context.fail("X must be [N,C,H,W]");
    shape[1] = context.shape(0)[1];
  }
  if (context.has_shape(1)) {
    const Shape& rois = context.shape(1);
    if (rois.rank() != 2 || (is_known(rois[1]) && rois[1] != 4)) context.fail("rois must be [R,4]");
    shape[0] = rois[0];
  }
  if (const auto size = context.dims(3)) {
    if (size->size() != 2) context.fail("crop_size must hold a height and a width");
    for (size_t i = 0; i < 2; ++i) {
      const Dim side = (*size)[i];
      if (!is_symbol(side) && (side < 1 || side > kMostPixels)) context.fail("crop_size is out of range");
      shape[i + 2] = side;
    }
  }
  context.out(0, context.type(0), shape);
}

// Where one row or column of a crop is read: `low` and `high` are pixels of the picture, or `low` is -1 outside.
struct Sample {
  int64_t low = -1, high = 0;
  double part = 0;  // of `high`
};

Sample sample(double begin, double end, int64_t i, int64_t crop, int64_t size, bool nearest) {
  const auto last = static_cast<double>(size - 1);
  const double at = crop > 1
                        ? begin * last + static_cast<double>(i) * ((end - begin) * last / static_cast<double>(crop - 1))
                        : 0.5 * (begin + end) * last;
  if (!(at >= 0 && at <= last)) return {};
  if (nearest) {
    const auto pixel = static_cast<int64_t>(std::round(at));
    return {pixel, pixel, 0};
  }
  return {static_cast<int64_t>(std::floor(at)), static_cast<int64_t>(std::ceil(at)), at - std::floor(at)};
}

std::unique_ptr<Kernel> prepare_crop_and_resize(const OpContext& context) {
  const Shape src = context.shape(0), dst = context.out(0).shape;
  if (context.type(1) != context.type(0)) context.fail("rois must have the type of X");
  if (context.type(2) != DataType::Int32 || context.shape(2).count() != dst[0])
    context.fail("batch_indices must be an int32 for each of rois");
  const std::string mode = context.attributes().get_string("mode", "bilinear");
  if (mode != "bilinear" && mode != "nearest") context.fail("mode '" + mode + "' is neither bilinear nor nearest");
  const bool nearest = mode == "nearest";
  const float outside = context.attributes().get_float("extrapolation_value", 0);
  const size_t bytes = static_cast<size_t>(dst[0] * (dst[2] + dst[3])) * sizeof(Sample);
  return with_type(FloatList{}, "CropAndResize", context.type(0), [&]<class T>(std::type_identity<T>) {
    return make_kernel(
        [=](const KernelArgs& args) {
          const T* rois = args.in<T>(1);
          const int32_t* batches = args.in<int32_t>(2);
          const int64_t channels = src[1], height = dst[2], width = dst[3];
          auto* samples = reinterpret_cast<Sample*>(args.workspace);
          for (int64_t r = 0; r < dst[0]; ++r) {
            if (batches[r] < 0 || batches[r] >= src[0])
              invalid_argument("CropAndResize: batch index " + std::to_string(batches[r]) + " is outside [0, " +
                               std::to_string(src[0] - 1) + "]");
            double box[4];
            for (int i = 0; i < 4; ++i) box[i] = static_cast<double>(kernels::load_number(rois[4 * r + i]));
            Sample* to = samples + r * (height + width);
            for (int64_t y = 0; y < height; ++y) *to++ = sample(box[0], box[2], y, height, src[2], nearest);
            for (int64_t x = 0; x < width; ++x) *to++ = sample(box[1], box[3], x, width, src[3], nearest);
          }
          const int64_t grain = std::max<int64_t>(1, 4096 / (height * width));
          args.parallel.range(dst[0] * channels, grain, [&](int64_t begin, int64_t end) {
            using Acc = kernels::Accumulator<T>;
            for (int64_t plane = begin; plane < end; ++plane) {
              const int64_t r = plane / channels;
              const T* from = args.in<T>(0) + (batches[r] * channels + plane % channels) * src[2] * src[3];
              T* to = args.out<T>(0) + plane * height * width;
              const Sample *rows = samples + r * (height + width), *cols = rows + height;
              for (int64_t i = 0; i < height * width; ++i) {
                const Sample &row = rows[i / width], &col = cols[i % width];
                Acc value = static_cast<Acc>(outside);
                if (row.low >= 0 && col.low >= 0) {
                  const auto along = [&](int64_t y) {
                    const Acc left = kernels::load_number(from[y * src[3] + col.low]);
                    if (col.high == col.low) return left;
                    return left +
                           (kernels::load_number(from[y * src[3] + col.high]) - left) * static_cast<Acc>(col.part);
                  };
                  value = along(row.low);
                  if (row.high != row.low) value += (along(row.high) - value) * static_cast<Acc>(row.part);
                }
                to[i] = kernels::store_number<T>(value);
              }
            }
          });
        },
        bytes);
  });
}

constexpr Candidate kCropAndResize[] = {{"boxes", nullptr, prepare_crop_and_resize}};

constexpr OpDef kOps[] = {
    {"com.microsoft", "CropAndResize", infer_crop_and_resize, kCropAndResize, kFloatTypes, kNone, 0b1000},
};

}  // namespace

std::span<const OpDef> crop_and_resize_ops() { return kOps; }

}  // namespace fastort
