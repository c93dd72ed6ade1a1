// graphql's production form of this function; its other one looks for second copies, and here is none.
export const instanceOf = (value, constructor) => value instanceof constructor;
