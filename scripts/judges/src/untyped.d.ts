// Packages that have no types, or none that are found.
declare module "@dimo-network/data-sdk";
declare module "@digitalbazaar/data-integrity";
declare module "@digitalbazaar/eddsa-jcs-2022-cryptosuite";
declare module "@digitalbazaar/vc";
declare module "@digitalbazaar/vc-bitstring-status-list";
