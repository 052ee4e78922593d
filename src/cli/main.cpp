#include "cli/run.hpp"

int main(int argc, char** argv) { return kiseki::cli::run(argc, argv); }
