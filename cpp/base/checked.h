#pragma once

#include <cstdint>
#include <limits>
#include <optional>

namespace fastort {

// Signed arithmetic that tells of an overflow.
constexpr std::optional<int64_t> checked_add(int64_t a, int64_t b) noexcept {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  if (b > 0 ? a > kMax - b : a < kMin - b) return std::nullopt;
  return a + b;
}

constexpr std::optional<int64_t> checked_mul(int64_t a, int64_t b) noexcept {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  if (a == 0 || b == 0) return 0;
  if ((a == -1 && b == kMin) || (b == -1 && a == kMin)) return std::nullopt;
  const bool fits =
      (a > 0) == (b > 0) ? (a > 0 ? a <= kMax / b : a >= kMax / b) : (a > 0 ? b >= kMin / a : a >= kMin / b);
  if (!fits) return std::nullopt;
  return a * b;
}

}  // namespace fastort
