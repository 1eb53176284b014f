#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/trees.h"

namespace fastort::kernels {

// What a node asks, as `x <= threshold`.
template <class T>
struct TreeQuestion {
  T threshold;
  int64_t yes, no;
  bool missing_yes;  // where NaN goes
};

// false where there is no such form.
template <class T>
bool rephrase(const TreeNode& node, TreeQuestion<T>& question) {
  const bool below = node.compare == TreeCompare::Less || node.compare == TreeCompare::GreaterEqual;
  const bool turned = node.compare == TreeCompare::Greater || node.compare == TreeCompare::GreaterEqual;
  if (node.compare == TreeCompare::Equal || node.compare == TreeCompare::NotEqual) return false;
  T threshold = static_cast<T>(node.threshold);
  if (std::isnan(threshold)) return false;
  if (below) {
    constexpr T kLeast = -std::numeric_limits<T>::infinity();
    if (threshold == kLeast) return false;
    threshold = std::nextafter(threshold, kLeast);
  }
  question = turned ? TreeQuestion<T>{threshold, node.on_false, node.on_true, !node.missing_true}
                    : TreeQuestion<T>{threshold, node.on_true, node.on_false, node.missing_true};
  return true;
}

}  // namespace fastort::kernels
