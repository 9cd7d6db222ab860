// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title A recipient of safe transfers that answers as told when it is made.
contract Receiver {
    bytes4 private immutable _answer;

    constructor(bytes4 answer) {
        _answer = answer;
    }

    function onERC721Received(address, address, uint256, bytes calldata) external view returns (bytes4) {
        require(_answer != 0);
        return _answer;
    }
}
