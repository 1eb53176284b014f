#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace fastort {

struct PassOptions {
  int level = 99;                  // SessionOptions::optimization_level
  std::set<std::string> disabled;  // by name
  bool portable = false;           // only passes whose results other engines can read
  bool device = false;             // a GPU runs what it can: no passes whose results only the CPU has kernels for
};

// What one pass did, for reports.
struct PassReport {
  std::string name;
  int changes = 0;
  double milliseconds = 0;
};

// Rewrites a graph whose types are inferred, its bodies included. What holds afterwards holds for every shape.
std::vector<PassReport> optimize(Graph& graph, const PassOptions& options);

// The passes in their order.
std::vector<std::string_view> pass_names();

}  // namespace fastort
