#include "ops/einsum/equation.h"

#include <algorithm>
#include <cctype>

namespace fastort::einsum {

namespace {

constexpr int kEllipsis = -1;

// The terms of one side, each as letters with kEllipsis for "...".
std::vector<std::vector<int>> read_terms(const std::string& text) {
  std::vector<std::vector<int>> terms(1);
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == ',') {
      terms.emplace_back();
    } else if (std::isalpha(static_cast<unsigned char>(c))) {
      terms.back().push_back(c);
    } else if (text.compare(i, 3, "...") == 0) {
      if (std::count(terms.back().begin(), terms.back().end(), kEllipsis) > 0)
        invalid_graph("an operand of the equation has two ellipses");
      terms.back().push_back(kEllipsis);
      i += 2;
    } else {
      invalid_graph(std::string("the equation has an unexpected '") + c + "'");
    }
  }
  return terms;
}

}  // namespace

Equation parse(const std::string& text, std::span<const int> ranks) {
  std::string plain;
  std::copy_if(text.begin(), text.end(), std::back_inserter(plain), [](char c) { return c != ' '; });
  const size_t arrow = plain.find("->");
  const auto terms = read_terms(plain.substr(0, arrow));
  if (terms.size() != ranks.size())
    invalid_graph("the equation '" + text + "' has " + std::to_string(terms.size()) + " operands, the node has " +
                  std::to_string(ranks.size()));
  int ellipsis_rank = 0;
  std::vector<int> letters;  // sorted, each once
  for (size_t i = 0; i < terms.size(); ++i) {
    const auto& term = terms[i];
    const bool dots = std::count(term.begin(), term.end(), kEllipsis) > 0;
    const int named = static_cast<int>(term.size()) - (dots ? 1 : 0);
    if (dots ? ranks[i] < named : ranks[i] != named)
      invalid_graph("operand " + std::to_string(i) + " of the equation '" + text + "' has rank " +
                    std::to_string(ranks[i]) + ", which its labels do not fit");
    if (dots) ellipsis_rank = std::max(ellipsis_rank, ranks[i] - named);
    for (int label : term)
      if (label != kEllipsis) letters.push_back(label);
  }
  const std::vector<int> all = letters;
  std::sort(letters.begin(), letters.end());
  letters.erase(std::unique(letters.begin(), letters.end()), letters.end());
  const auto number = [&](int letter) {
    const auto at = std::lower_bound(letters.begin(), letters.end(), letter);
    if (at == letters.end() || *at != letter)
      invalid_graph("the output of the equation '" + text + "' has a label that no operand has");
    return static_cast<int>(at - letters.begin());
  };
  const int letter_count = static_cast<int>(letters.size());
  // The dimensions of a short ellipsis are the last of the longest one.
  const auto expand = [&](const std::vector<int>& term, int dots_rank) {
    std::vector<int> labels;
    for (int label : term) {
      if (label != kEllipsis) {
        labels.push_back(number(label));
      } else {
        for (int d = ellipsis_rank - dots_rank; d < ellipsis_rank; ++d) labels.push_back(letter_count + d);
      }
    }
    return labels;
  };
  Equation equation;
  equation.labels = letter_count + ellipsis_rank;
  for (size_t i = 0; i < terms.size(); ++i)
    equation.inputs.push_back(expand(terms[i], ranks[i] - static_cast<int>(terms[i].size()) + 1));
  if (arrow != std::string::npos) {
    const auto right = read_terms(plain.substr(arrow + 2));
    if (right.size() != 1) invalid_graph("the equation '" + text + "' has more than one output");
    equation.output = expand(right[0], ellipsis_rank);
    std::vector<int> sorted = equation.output;
    std::sort(sorted.begin(), sorted.end());
    if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
      invalid_graph("the output of the equation '" + text + "' has a label twice");
  } else {
    for (int d = 0; d < ellipsis_rank; ++d) equation.output.push_back(letter_count + d);
    for (int letter : letters)
      if (std::count(all.begin(), all.end(), letter) == 1) equation.output.push_back(number(letter));
  }
  return equation;
}

}  // namespace fastort::einsum
