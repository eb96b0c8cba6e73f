/** A VM as far as its problems depend on it, whatever it was described with. */
export interface Vm {
  name: string;
}
