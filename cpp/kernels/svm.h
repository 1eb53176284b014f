#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace fastort::kernels {

enum class SvmKernelKind : uint8_t { Linear, Poly, Rbf, Sigmoid };

inline std::optional<SvmKernelKind> svm_kernel_named(std::string_view name) {
  if (name == "LINEAR") return SvmKernelKind::Linear;
  if (name == "POLY") return SvmKernelKind::Poly;
  if (name == "RBF") return SvmKernelKind::Rbf;
  if (name == "SIGMOID") return SvmKernelKind::Sigmoid;
  return std::nullopt;
}

struct SvmKernelParams {
  SvmKernelKind kind = SvmKernelKind::Linear;
  float gamma = 0, coef0 = 0, degree = 0;
};

// The vectors of a support vector machine, packed so that those of a block stand side by side for each feature.
class SupportVectors {
 public:
  static constexpr int64_t kBlock = 32;

  // `vectors` is [count, features].
  SupportVectors(std::span<const float> vectors, int64_t count, int64_t features, const SvmKernelParams& params);

  int64_t count() const noexcept { return count_; }
  int64_t features() const noexcept { return features_; }
  int64_t padded_count() const noexcept { return (count_ + kBlock - 1) / kBlock * kBlock; }

  // dst[i] = K(x, vector i); `dst` has padded_count() places, of which those behind count() are of no meaning.
  void run(const float* x, float* dst) const;

 private:
  SvmKernelParams params_;
  int64_t count_, features_;
  std::vector<float> packed_;  // [blocks, features, kBlock]
};

}  // namespace fastort::kernels
