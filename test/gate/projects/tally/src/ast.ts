export type Expression =
  | { type: 'number'; value: number }
  | { type: 'text'; value: string }
  | { type: 'cell'; name: string }
  | { type: 'range'; from: string; to: string }
  | { type: 'call'; name: string; args: Expression[]; at: number }
  | { type: 'unary'; operator: string; operand: Expression }
  | { type: 'binary'; operator: string; left: Expression; right: Expression };

/** Every cell that an expression reads, ranges as their corners. */
export function cellsIn(expression: Expression): { cells: string[]; ranges: [string, string][] } {
  const cells: string[] = [];
  const ranges: [string, string][] = [];
  const visit = (node: Expression): void => {
    switch (node.type) {
      case 'cell':
        cells.push(node.name);
        break;
      case 'range':
        ranges.push([node.from, node.to]);
        break;
      case 'call':
        node.args.forEach(visit);
        break;
      case 'unary':
        visit(node.operand);
        break;
      case 'binary':
        visit(node.left);
        visit(node.right);
        break;
      case 'number':
      case 'text':
        break;
    }
  };
  visit(expression);
  return { cells, ranges };
}
