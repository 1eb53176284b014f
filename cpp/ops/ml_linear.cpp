// LinearRegressor and LinearClassifier.
#include <algorithm>
#include <array>
#include <memory>

#include "kernels/elementwise/unary.h"
#include "kernels/gemm/sgemm.h"
#include "kernels/short_rows.h"
#include "kernels/softmax.h"
#include "ops/core/move.h"
#include "ops/ml_common.h"
#include "tensor/buffer.h"

namespace fastort {
namespace {

// Scores that make a piece of work worth a thread.
constexpr int64_t kScoresOfPiece = 4096;

// One row of coefficients and one intercept for each output.
struct Linear {
  std::vector<float> coefficients, intercepts;
  int64_t outputs, features;

  Linear(const OpContext& context, int64_t outputs, int64_t features)
      : coefficients(context.attributes().get_floats("coefficients")),
        intercepts(context.attributes().get_floats("intercepts")),
        outputs(outputs),
        features(features) {
    if (static_cast<int64_t>(coefficients.size()) != outputs * features)
      context.fail(std::to_string(coefficients.size()) + " coefficients for " + std::to_string(outputs) +
                   " outputs of " + std::to_string(features) + " features");
    if (intercepts.empty()) intercepts.resize(static_cast<size_t>(outputs), 0.0f);
    if (static_cast<int64_t>(intercepts.size()) != outputs)
      context.fail(std::to_string(intercepts.size()) + " intercepts for " + std::to_string(outputs) + " outputs");
  }

  // Scores of row `row` of `src`.
  void run(DataType type, const std::byte* src, int64_t row, float* scores) const {
    auto typed = [&]<class T>(const T* x) {
      for (int64_t o = 0; o < outputs; ++o) {
        const float* weights = coefficients.data() + o * features;
        double sum = static_cast<double>(intercepts[static_cast<size_t>(o)]);
        for (int64_t f = 0; f < features; ++f) sum += static_cast<double>(x[f]) * static_cast<double>(weights[f]);
        scores[o] = static_cast<float>(sum);
      }
    };
    const int64_t at = row * features;
    if (type == DataType::Float) return typed(reinterpret_cast<const float*>(src) + at);
    if (type == DataType::Double) return typed(reinterpret_cast<const double*>(src) + at);
    if (type == DataType::Int64) return typed(reinterpret_cast<const int64_t*>(src) + at);
    if (type == DataType::Int32) return typed(reinterpret_cast<const int32_t*>(src) + at);
    not_implemented("numbers of type " + std::string(name(type)));
  }
  int64_t grain() const { return 16384 / std::max<int64_t>(outputs * features, 1); }
};

// The linear map of all rows of float32 numbers as one product.
class LinearProduct {
 public:
  // The scores of a row begin `stride` floats behind those of the row before.
  LinearProduct(Linear linear, int64_t rows, int64_t stride) : intercepts_(std::move(linear.intercepts)) {
    kernels::SgemmSizes sizes;
    sizes.m = rows;
    sizes.n = linear.outputs;
    sizes.k = sizes.a_stride = linear.features;
    sizes.c_stride = stride;
    sizes.b_packed = true;
    gemm_ = kernels::Sgemm(sizes);
    packed_ = Buffer::allocate(kernels::packed_b_bytes(sizes.k, sizes.n));
    kernels::pack_b(linear.coefficients.data(), 1, sizes.k, sizes.k, sizes.n,
                    reinterpret_cast<float*>(packed_->data()));
  }

  void run(const float* x, float* scores, const Parallel& parallel) const {
    kernels::Epilogue epilogue;
    epilogue.bias = intercepts_.data();
    gemm_.run({x, reinterpret_cast<const float*>(packed_->data()), scores, nullptr}, epilogue, nullptr, parallel);
  }

 private:
  kernels::Sgemm gemm_;
  std::shared_ptr<Buffer> packed_;
  std::vector<float> intercepts_;
};

Refusal takes_product(const OpContext& context) {
  if (context.type(0) != DataType::Float) return "the numbers are not float32";
  const Rows rows = rows_of(context);
  if (rows.count == 0 || rows.features == 0) return "there is nothing to multiply";
  return {};
}

// `post_transform` of each of some rows, one behind the other.
void transform_rows(kernels::PostTransform post, float* scores, int64_t rows, int64_t width) {
  switch (post) {
    case kernels::PostTransform::None:
      return;
    case kernels::PostTransform::Softmax:
      if (width <= kernels::kMostShortRow) return kernels::softmax_short_rows(scores, rows, width, nullptr);
      return kernels::softmax(scores, scores, rows, width, 1, false, Parallel(ThreadPool::instance(), 1));
    case kernels::PostTransform::Logistic:
      return kernels::unary_f32(kernels::UnaryOp::Sigmoid)(scores, scores, rows * width, {});
    default:
      for (int64_t row = 0; row < rows; ++row)
        kernels::post_transform(post, std::span(scores + row * width, static_cast<size_t>(width)));
  }
}

// ---- LinearRegressor -----------------------------------------------------------------------------------------------

void infer_regressor(InferContext& context) {
  const int64_t targets = context.attributes().get_int("targets", 1);
  if (targets < 1 || targets > INT32_MAX) context.fail("targets is " + std::to_string(targets));
  context.out(0, DataType::Float, {row_count(context), targets});
}

std::unique_ptr<Kernel> prepare_regressor(const OpContext& context) {
  const Rows rows = rows_of(context);
  const int64_t targets = context.out(0).shape[1];
  const kernels::PostTransform post = post_transform_of(context);
  return make_kernel([rows, targets, post, type = context.type(0),
                      linear = Linear(context, targets, rows.features)](const KernelArgs& args) {
    args.parallel.range(rows.count, linear.grain(), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        float* scores = args.out<float>(0) + row * targets;
        linear.run(type, args.in<std::byte>(0), row, scores);
        kernels::post_transform(post, std::span(scores, static_cast<size_t>(targets)));
      }
    });
  });
}

std::unique_ptr<Kernel> prepare_regressor_product(const OpContext& context) {
  const Rows rows = rows_of(context);
  const int64_t targets = context.out(0).shape[1];
  const kernels::PostTransform post = post_transform_of(context);
  return make_kernel([=, product = LinearProduct(Linear(context, targets, rows.features), rows.count, targets)](
                         const KernelArgs& args) {
    product.run(args.in<float>(0), args.out<float>(0), args.parallel);
    if (post == kernels::PostTransform::None) return;
    args.parallel.range(rows.count, kScoresOfPiece / targets, [&](int64_t begin, int64_t end) {
      transform_rows(post, args.out<float>(0) + begin * targets, end - begin, targets);
    });
  });
}

// ---- LinearClassifier ----------------------------------------------------------------------------------------------

// Outputs of the linear map: one for each class, or one alone that separates two classes.
int64_t score_count(const OpContext& context, int64_t classes, int64_t features) {
  const auto count = static_cast<int64_t>(context.attributes().get_floats("coefficients").size());
  return classes == 2 && count == features ? 1 : classes;
}

void infer_classifier(InferContext& context) {
  const ClassLabels labels = ClassLabels::parse(context, "classlabels_ints");
  const Dim rows = row_count(context);
  context.out(0, labels.type(), {rows});
  context.out(1, DataType::Float, {rows, labels.size()});
}

struct Classifier {
  explicit Classifier(const OpContext& context)
      : rows(rows_of(context)),
        labels(ClassLabels::parse(context, "classlabels_ints")),
        classes(labels.size()),
        outputs(score_count(context, classes, rows.features)),
        post(post_transform_of(context)),
        has_label(context.has_output(0)),
        has_scores(context.has_output(1)) {}

  size_t workspace() const { return has_scores ? 0 : static_cast<size_t>(rows.count * classes) * sizeof(float); }
  float* scores(const KernelArgs& args) const {
    return has_scores ? args.out<float>(1) : reinterpret_cast<float*>(args.workspace);
  }
  void put_label(const KernelArgs& args, int64_t row, const float* scores) const {
    if (!has_label) return;
    labels.put(args, row, classes == 1 ? (scores[0] > 0 ? 1 : 0) : std::max_element(scores, scores + classes) - scores);
  }

  // The labels and the transformed scores of some rows.
  void finish_short_rows(const KernelArgs& args, int64_t begin, int64_t end, float* scores) const {
    const bool softmax = has_scores && post == kernels::PostTransform::Softmax;
    std::array<int32_t, 64> places{};
    constexpr auto kTogether = static_cast<int64_t>(places.size());
    for (int64_t row = begin; row < end; row += kTogether) {
      const int64_t count = std::min(kTogether, end - row);
      float* const some = scores + row * classes;
      if (softmax)
        kernels::softmax_short_rows(some, count, classes, places.data());
      else if (has_label)
        kernels::argmax_short_rows(some, count, classes, places.data());
      for (int64_t i = 0; i < count && has_label; ++i) labels.put(args, row + i, places[static_cast<size_t>(i)]);
    }
    if (has_scores && !softmax) transform_rows(post, scores + begin * classes, end - begin, classes);
  }

  Rows rows;
  ClassLabels labels;
  int64_t classes, outputs;
  kernels::PostTransform post;
  bool has_label, has_scores;
};

std::unique_ptr<Kernel> prepare_classifier(const OpContext& context) {
  Classifier classifier(context);
  Linear linear(context, classifier.outputs, classifier.rows.features);
  const size_t workspace = classifier.workspace();
  return make_kernel(
      [type = context.type(0), c = std::move(classifier), linear = std::move(linear)](const KernelArgs& args) {
        float* all = c.scores(args);
        args.parallel.range(c.rows.count, linear.grain(), [&](int64_t begin, int64_t end) {
          for (int64_t row = begin; row < end; ++row) {
            float* scores = all + row * c.classes;
            linear.run(type, args.in<std::byte>(0), row, scores);
            if (c.outputs < c.classes) {
              scores[1] = scores[0];
              scores[0] = -scores[0];
            }
            c.put_label(args, row, scores);
            kernels::post_transform(c.post, std::span(scores, static_cast<size_t>(c.classes)));
          }
        });
      },
      workspace);
}

std::unique_ptr<Kernel> prepare_classifier_product(const OpContext& context) {
  Classifier classifier(context);
  LinearProduct product(Linear(context, classifier.outputs, classifier.rows.features), classifier.rows.count,
                        classifier.classes);
  const size_t workspace = classifier.workspace();
  return make_kernel(
      [c = std::move(classifier), product = std::move(product)](const KernelArgs& args) {
        float* all = c.scores(args);
        product.run(args.in<float>(0), all + (c.classes - c.outputs), args.parallel);
        args.parallel.range(c.rows.count, kScoresOfPiece / c.classes, [&](int64_t begin, int64_t end) {
          if (c.outputs > 1 && c.outputs <= kernels::kMostShortRow) return c.finish_short_rows(args, begin, end, all);
          for (int64_t row = begin; row < end; ++row) {
            float* scores = all + row * c.classes;
            if (c.outputs < c.classes) scores[0] = -scores[1];
            c.put_label(args, row, scores);
          }
          if (c.has_scores) transform_rows(c.post, all + begin * c.classes, end - begin, c.classes);
        });
      },
      workspace);
}

constexpr Candidate kRegressor[] = {{"product", takes_product, prepare_regressor_product},
                                    {"reference", nullptr, prepare_regressor}};
constexpr Candidate kClassifier[] = {{"product", takes_product, prepare_classifier_product},
                                     {"reference", nullptr, prepare_classifier}};

constexpr OpDef kOps[] = {
    {"ai.onnx.ml", "LinearRegressor", infer_regressor, kRegressor, kMlTypes},
    {"ai.onnx.ml", "LinearClassifier", infer_classifier, kClassifier, kMlTypes},
};

}  // namespace

std::span<const OpDef> ml_linear_ops() { return kOps; }

}  // namespace fastort
