// SVMRegressor and SVMClassifier. Where the standard leaves open what the scores of two classes are, this is what ONNX
// Runtime makes of them: converters write models for it.
#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "kernels/svm.h"
#include "ops/ml_common.h"

namespace fastort {
namespace {

using kernels::PostTransform;
using kernels::SupportVectors;
using kernels::SvmKernelKind;
using kernels::SvmKernelParams;

SvmKernelParams parse_kernel(const OpContext& context) {
  const std::string name = context.attributes().get_string("kernel_type", "LINEAR");
  const auto kind = kernels::svm_kernel_named(name);
  if (!kind) context.fail("unknown kernel_type \"" + name + "\"");
  const std::vector<float> params = context.attributes().get_floats("kernel_params");
  if (params.empty() && *kind == SvmKernelKind::Linear) return {*kind};
  if (params.size() != 3)
    context.fail("kernel_params must be gamma, coef0 and degree, got " + std::to_string(params.size()) + " numbers");
  return {*kind, params[0], params[1], params[2]};
}

// `count` vectors as long as a row of the input.
SupportVectors parse_vectors(const OpContext& context, std::span<const float> vectors, const char* name, int64_t count,
                             const SvmKernelParams& params) {
  const int64_t features = rows_of(context).features;
  if (count > static_cast<int64_t>(vectors.size()) || static_cast<int64_t>(vectors.size()) != count * features)
    context.fail(std::string(name) + " has " + std::to_string(vectors.size()) + " numbers for " +
                 std::to_string(count) + " vectors of " + std::to_string(features) + " features");
  return {vectors, count, features, params};
}

// A kernel that calls row(args, r, similarities, scratch) for each row: its similarity to each of the vectors, and
// `scratch_floats` to write to.
template <class Row>
std::unique_ptr<Kernel> similarity_kernel(const OpContext& context, SupportVectors vectors, int64_t scratch_floats,
                                          Row row) {
  const int64_t rows = rows_of(context).count;
  const int64_t features = vectors.features(), padded = vectors.padded_count();
  const DataType type = context.type(0);
  const int64_t work = std::max<int64_t>(1, padded * (features + 4));
  const int64_t grain = std::max<int64_t>(1, 65536 / work);
  const int64_t most = context.options.threads == 1 ? 1 : 4 * context.options.threads;
  const int64_t pieces = std::min((rows + grain - 1) / grain, most);
  const int64_t step = pieces == 0 ? 0 : (rows + pieces - 1) / pieces;
  const int64_t scratch = padded + features + scratch_floats;
  return make_kernel(
      [=, vectors = std::move(vectors), row = std::move(row)](const KernelArgs& args) {
        args.parallel.chunks(static_cast<int>(pieces), [&](int piece) {
          float* similarities = reinterpret_cast<float*>(args.workspace) + piece * scratch;
          float* numbers = similarities + padded;
          for (int64_t r = piece * step; r < std::min(rows, (piece + 1) * step); ++r) {
            const float* x = args.in<float>(0) + r * features;
            if (type != DataType::Float) {
              read_numbers(type, args.in<std::byte>(0), r * features, features, numbers);
              x = numbers;
            }
            vectors.run(x, similarities);
            row(args, r, similarities, numbers + features);
          }
        });
      },
      static_cast<size_t>(pieces * scratch) * sizeof(float));
}

double weighted_sum(const float* weights, const float* numbers, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += static_cast<double>(weights[i]) * static_cast<double>(numbers[i]);
  return sum;
}

// ---- SVMRegressor --------------------------------------------------------------------------------------------------

void infer_regressor(InferContext& context) { context.out(0, DataType::Float, {row_count(context), 1}); }

std::unique_ptr<Kernel> prepare_regressor(const OpContext& context) {
  const Attributes& attributes = context.attributes();
  const int64_t supports = attributes.get_int("n_supports", 0);
  std::vector<float> coefficients = attributes.get_floats("coefficients");
  const std::vector<float> rho = attributes.get_floats("rho");
  const bool one_class = attributes.get_int("one_class", 0) != 0;
  const PostTransform post = post_transform_of(context);
  if (rho.size() != 1) context.fail("rho must be one number, got " + std::to_string(rho.size()));
  if (supports < 0) context.fail("n_supports is " + std::to_string(supports));
  // Without support vectors the coefficients are a linear map.
  const bool linear = supports == 0;
  if (!linear && static_cast<int64_t>(coefficients.size()) != supports)
    context.fail(std::to_string(coefficients.size()) + " coefficients for " + std::to_string(supports) +
                 " support vectors");
  SupportVectors vectors = linear ? parse_vectors(context, coefficients, "coefficients", 1, {})
                                  : parse_vectors(context, attributes.get_floats("support_vectors"), "support_vectors",
                                                  supports, parse_kernel(context));
  if (linear) coefficients = {1.0f};
  return similarity_kernel(
      context, std::move(vectors), 0,
      [=, offset = static_cast<double>(rho[0]), coefficients = std::move(coefficients)](
          const KernelArgs& args, int64_t row, const float* similarities, float*) {
        const double sum =
            weighted_sum(coefficients.data(), similarities, static_cast<int64_t>(coefficients.size())) + offset;
        float& dst = args.out<float>(0)[row];
        dst = one_class ? (sum > 0 ? 1.0f : -1.0f) : static_cast<float>(sum);
        kernels::post_transform(post, std::span(&dst, 1));
      });
}

// ---- SVMClassifier -------------------------------------------------------------------------------------------------

// The parts of a machine that tells each class from each other one.
struct Pairs {
  std::vector<int64_t> counts, starts;  // support vectors of each class
  std::vector<float> coefficients;      // [classes - 1, vectors]
  std::vector<float> rho;               // one for each pair
  std::vector<float> prob_a, prob_b;    // one for each pair, or none

  int64_t classes() const { return static_cast<int64_t>(counts.size()); }
  int64_t count() const { return classes() * (classes() - 1) / 2; }
  int64_t vectors() const { return starts.back() + counts.back(); }

  // The scores of all pairs, positive for the first class; returns the class that wins most often.
  int64_t score(const float* similarities, float* scores, float* wins) const {
    std::fill_n(wins, classes(), 0.0f);
    size_t pair = 0;
    for (size_t i = 0; i + 1 < counts.size(); ++i)
      for (size_t j = i + 1; j < counts.size(); ++j, ++pair) {
        const auto row = [&](size_t r) { return coefficients.data() + static_cast<int64_t>(r) * vectors(); };
        const double sum = weighted_sum(row(j - 1) + starts[i], similarities + starts[i], counts[i]) +
                           weighted_sum(row(i) + starts[j], similarities + starts[j], counts[j]) +
                           static_cast<double>(rho[pair]);
        scores[pair] = static_cast<float>(sum);
        ++wins[scores[pair] > 0 ? i : j];
      }
    return std::max_element(wins, wins + classes()) - wins;
  }
};

// Probabilities of the classes p[k] out of those of pairs, r[k * k] with r[i, j] = P(i | i or j), by the second method
// of Wu, Lin and Weng (2004): the p that minimises sum (r[j, i] p[i] - r[i, j] p[j])^2, found coordinate by coordinate.
void couple_probabilities(int64_t classes, const float* r, float* q, float* product, float* p) {
  const auto k = static_cast<float>(classes);
  for (int64_t t = 0; t < classes; ++t) {
    p[t] = 1 / k;
    float& diagonal = q[t * classes + t] = 0;
    for (int64_t j = 0; j < classes; ++j) {
      if (j == t) continue;
      diagonal += r[j * classes + t] * r[j * classes + t];
      q[t * classes + j] = -r[j * classes + t] * r[t * classes + j];
    }
  }
  const int64_t most = std::max<int64_t>(100, classes);
  for (int64_t round = 0; round < most; ++round) {
    float whole = 0;
    for (int64_t t = 0; t < classes; ++t) {
      product[t] = std::inner_product(p, p + classes, q + t * classes, 0.0f);
      whole += p[t] * product[t];
    }
    float error = 0;
    for (int64_t t = 0; t < classes; ++t) error = std::max(error, std::abs(product[t] - whole));
    if (error < 0.005f / k) return;
    for (int64_t t = 0; t < classes; ++t) {
      const float* row = q + t * classes;
      const float step = (whole - product[t]) / row[t], scale = 1 / (1 + step);
      p[t] += step;
      whole = (whole + step * (step * row[t] + 2 * product[t])) * scale * scale;
      for (int64_t j = 0; j < classes; ++j) {
        product[j] = (product[j] + step * row[j]) * scale;
        p[j] *= scale;
      }
    }
  }
}

// Platt's probabilities of the classes out of the pairs' scores; `scratch` has 2 * classes^2 + classes places.
void platt_probabilities(const Pairs& pairs, const float* scores, float* scratch, float* p) {
  constexpr float kLeast = 1e-7f;
  const int64_t classes = pairs.classes();
  size_t pair = 0;
  for (int64_t i = 0; i + 1 < classes; ++i)
    for (int64_t j = i + 1; j < classes; ++j, ++pair) {
      const float sure = kernels::logistic(-(scores[pair] * pairs.prob_a[pair] + pairs.prob_b[pair]));
      scratch[i * classes + j] = std::clamp(sure, kLeast, 1 - kLeast);
      scratch[j * classes + i] = 1 - scratch[i * classes + j];
    }
  const int64_t square = classes * classes;
  couple_probabilities(classes, scratch, scratch + square, scratch + 2 * square, p);
}

// What one score says of two classes, positive for the second.
void two_scores(PostTransform post, float* scores) {
  if (post == PostTransform::Logistic) scores[0] = kernels::logistic(scores[0]);
  scores[1] = scores[0];
  scores[0] = post == PostTransform::None ? -scores[0] : 1 - scores[0];
  if (post == PostTransform::Probit) kernels::post_transform(post, std::span(scores, 2));
}

Pairs parse_pairs(const OpContext& context, int64_t classes) {
  const Attributes& attributes = context.attributes();
  Pairs pairs{attributes.get_ints("vectors_per_class"), {},
              attributes.get_floats("coefficients"),    attributes.get_floats("rho"),
              attributes.get_floats("prob_a"),          attributes.get_floats("prob_b")};
  if (pairs.classes() != classes || classes < 2)
    context.fail("vectors_per_class has " + std::to_string(pairs.classes()) + " items for " + std::to_string(classes) +
                 " classes; both must be at least 2 and equal");
  int64_t total = 0;
  for (int64_t count : pairs.counts) {
    if (count < 0 || count > INT32_MAX) context.fail("vectors_per_class has the item " + std::to_string(count));
    pairs.starts.push_back(total);
    total += count;
  }
  auto check = [&](const char* name, size_t length, int64_t expected) {
    if (static_cast<int64_t>(length) != expected)
      context.fail(std::string(name) + " has " + std::to_string(length) + " items instead of " +
                   std::to_string(expected));
  };
  check("coefficients", pairs.coefficients.size(), (classes - 1) * total);
  check("rho", pairs.rho.size(), pairs.count());
  if (!pairs.prob_a.empty() || !pairs.prob_b.empty()) {
    check("prob_a", pairs.prob_a.size(), pairs.count());
    check("prob_b", pairs.prob_b.size(), pairs.count());
  }
  return pairs;
}

bool has_pairs(const Attributes& attributes) {
  const std::vector<int64_t> counts = attributes.get_ints("vectors_per_class");
  return std::any_of(counts.begin(), counts.end(), [](int64_t count) { return count > 0; });
}

// Columns of the scores: classes, or pairs where there are no probabilities.
int64_t score_columns(const Attributes& attributes, int64_t classes) {
  if (!has_pairs(attributes) || !attributes.get_floats("prob_a").empty() || classes <= 2) return classes;
  return classes * (classes - 1) / 2;
}

void infer_classifier(InferContext& context) {
  const ClassLabels labels = ClassLabels::parse(context, "classlabels_ints");
  if (labels.size() > INT16_MAX) context.fail(std::to_string(labels.size()) + " classes are too many");
  const Dim rows = row_count(context);
  context.out(0, labels.type(), {rows});
  context.out(1, DataType::Float, {rows, score_columns(context.attributes(), labels.size())});
}

struct Outputs {
  ClassLabels labels;
  int64_t columns;
  bool has_label, has_scores;

  explicit Outputs(const OpContext& context)
      : labels(ClassLabels::parse(context, "classlabels_ints")),
        columns(score_columns(context.attributes(), labels.size())),
        has_label(context.has_output(0)),
        has_scores(context.has_output(1)) {}

  void put_scores(const KernelArgs& args, int64_t row, const float* scores) const {
    if (has_scores) std::copy_n(scores, columns, args.out<float>(1) + row * columns);
  }
};

std::unique_ptr<Kernel> pairs_kernel(const OpContext& context, Outputs outputs) {
  const PostTransform post = post_transform_of(context);
  const int64_t classes = outputs.labels.size();
  Pairs pairs = parse_pairs(context, classes);
  SupportVectors vectors = parse_vectors(context, context.attributes().get_floats("support_vectors"), "support_vectors",
                                         pairs.vectors(), parse_kernel(context));
  const int64_t scratch = std::max<int64_t>(2, pairs.count()) + 2 * classes * classes + 2 * classes;
  return similarity_kernel(context, std::move(vectors), scratch,
                           [=, pairs = std::move(pairs), outputs = std::move(outputs)](
                               const KernelArgs& args, int64_t row, const float* similarities, float* scratch) {
                             float* scores = scratch;
                             float* rest = scores + std::max<int64_t>(2, pairs.count());
                             int64_t chosen = pairs.score(similarities, scores, rest);
                             if (!pairs.prob_a.empty()) {
                               float* p = rest + 2 * classes * classes + classes;
                               platt_probabilities(pairs, scores, rest, p);
                               scores = p;
                               kernels::post_transform(post, std::span(scores, static_cast<size_t>(classes)));
                             } else if (classes == 2) {
                               two_scores(post, scores);
                             } else {
                               kernels::post_transform(post, std::span(scores, static_cast<size_t>(outputs.columns)));
                             }
                             if (outputs.has_label) outputs.labels.put(args, row, chosen);
                             outputs.put_scores(args, row, scores);
                           });
}

// One row of coefficients for each class, and no support vectors.
std::unique_ptr<Kernel> linear_kernel(const OpContext& context, Outputs outputs) {
  const Attributes& attributes = context.attributes();
  const PostTransform post = post_transform_of(context);
  const std::vector<float> rho = attributes.get_floats("rho"), coefficients = attributes.get_floats("coefficients");
  if (rho.empty()) context.fail("rho is empty");
  const int64_t classes = outputs.labels.size();
  const bool positive = std::all_of(coefficients.begin(), coefficients.end(), [](float c) { return c >= 0; });
  SupportVectors vectors = parse_vectors(context, coefficients, "coefficients", classes, {});
  return similarity_kernel(context, std::move(vectors), classes,
                           [=, offset = rho[0], outputs = std::move(outputs)](
                               const KernelArgs& args, int64_t row, const float* similarities, float* scores) {
                             for (int64_t c = 0; c < classes; ++c) scores[c] = similarities[c] + offset;
                             const float* best = std::max_element(scores, scores + classes);
                             int64_t chosen = best - scores;
                             if (classes == 1) chosen = 1;  // the only label
                             if (classes == 2 && (positive ? *best >= 0.5f : *best > 0)) chosen = 1;
                             kernels::post_transform(post, std::span(scores, static_cast<size_t>(classes)));
                             if (outputs.has_label) outputs.labels.put(args, row, chosen);
                             outputs.put_scores(args, row, scores);
                           });
}

std::unique_ptr<Kernel> prepare_classifier(const OpContext& context) {
  Outputs outputs(context);
  return has_pairs(context.attributes()) ? pairs_kernel(context, std::move(outputs))
                                         : linear_kernel(context, std::move(outputs));
}

constexpr Candidate kRegressor[] = {{"vectors", nullptr, prepare_regressor}};
constexpr Candidate kClassifier[] = {{"vectors", nullptr, prepare_classifier}};

constexpr OpDef kOps[] = {
    {"ai.onnx.ml", "SVMRegressor", infer_regressor, kRegressor, kMlTypes},
    {"ai.onnx.ml", "SVMClassifier", infer_classifier, kClassifier, kMlTypes},
};

}  // namespace

std::span<const OpDef> ml_svm_ops() { return kOps; }

}  // namespace fastort
