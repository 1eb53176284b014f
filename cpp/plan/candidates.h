#pragma once

#include <vector>

#include "plan/instance.h"

namespace fastort {

// One way to run a node: a candidate with one of its variants.
struct Option {
  const Candidate* candidate = nullptr;
  Variant variant;
  double cost = 0;  // nanoseconds
  // Another option with the same layouts costs less: not to be chosen, unless it is measured to be faster.
  bool beaten = false;
};

// A node to be planned with its concrete inputs and outputs (plain layouts), and what came of it.
struct PlannedNode {
  int node = -1;
  const OpDef* op = nullptr;
  std::vector<TensorDesc> inputs;
  std::vector<TensorDesc> outputs;
  std::vector<Option> options;
  std::vector<std::string> refusals;
  std::vector<std::string> notes;  // how the choice was made, where it is not by the cost rule
  int chosen = 0;

  // Made for the inputs, outputs and option above; nullptr where they are not made yet.
  std::shared_ptr<const Prepared> kernel;
  std::shared_ptr<const Decision> decision;
  const Candidate* made_by = nullptr;
  Variant made_with;
  std::vector<std::shared_ptr<Tensor>> holders;  // of the inputs' constants

  const Option& option() const { return options[static_cast<size_t>(chosen)]; }
};

// The layout that an option asks of input `i`.
Layout input_layout(const PlannedNode& planned, const Option& option, int i);
// The layout in which an option makes output `i`.
Layout output_layout(const PlannedNode& planned, const Option& option, int i);

// Asks every candidate for every variant and keeps those that accept; of them only those of the candidate `prefer`
// where it is among them. Throws NotImplemented with all the reasons where none does.
void list_options(const Graph& graph, PlannedNode& planned, const EngineOptions& options, PackStore& packs,
                  std::string_view prefer = {});

// Chooses one option for each node so that kernels plus reorders between them cost least over the whole region.
// `read_plain`: values that something beside these nodes reads in plain layout.
void choose_layouts(const Graph& graph, std::vector<PlannedNode>& nodes, std::span<const ValueId> read_plain);

}  // namespace fastort
