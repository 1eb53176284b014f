#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <span>
#include <string_view>

namespace fastort::kernels {

// What the models of ai.onnx.ml do with a row of scores; numbered as in TreeEnsemble.
enum class PostTransform { None, Softmax, Logistic, SoftmaxZero, Probit };

inline std::optional<PostTransform> post_transform_named(std::string_view name) {
  if (name == "NONE") return PostTransform::None;
  if (name == "SOFTMAX") return PostTransform::Softmax;
  if (name == "LOGISTIC") return PostTransform::Logistic;
  if (name == "SOFTMAX_ZERO") return PostTransform::SoftmaxZero;
  if (name == "PROBIT") return PostTransform::Probit;
  return std::nullopt;
}

template <class T>
T logistic(T value) {
  const T positive = 1 / (1 + std::exp(-std::abs(value)));
  return value < 0 ? 1 - positive : positive;
}

// The inverse of the normal distribution by Winitzki's approximation of the inverse error function, which is what
// the training libraries' converters count on.
template <class T>
T probit(T probability) {
  const T x = 2 * probability - 1;
  const T log = std::log((1 - x) * (1 + x));
  const T a = T(0.147);
  const T v = 2 / (std::numbers::pi_v<T> * a) + log / 2;
  const T root = std::sqrt(-v + std::sqrt(v * v - log / a));
  return std::numbers::sqrt2_v<T> * (x < 0 ? -root : root);
}

// Softmax; scores that are (nearly) zero stay zero where `keep_zeros`.
template <class T>
void softmax_scores(std::span<T> scores, bool keep_zeros) {
  if (scores.empty()) return;
  const T largest = *std::max_element(scores.begin(), scores.end());
  T sum = 0;
  for (T& score : scores) {
    const bool zero = keep_zeros && std::abs(score) <= T(1e-7);
    score = zero ? score * std::exp(-largest) : std::exp(score - largest);
    sum += score;
  }
  if (sum == 0) sum = 1;
  for (T& score : scores) score /= sum;
}

template <class T>
void post_transform(PostTransform transform, std::span<T> scores) {
  switch (transform) {
    case PostTransform::None:
      return;
    case PostTransform::Softmax:
      return softmax_scores(scores, false);
    case PostTransform::SoftmaxZero:
      return softmax_scores(scores, true);
    case PostTransform::Logistic:
      for (T& score : scores) score = logistic(score);
      return;
    case PostTransform::Probit:
      for (T& score : scores) score = probit(score);
      return;
  }
}

}  // namespace fastort::kernels
